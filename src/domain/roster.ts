// Who is here, where thousands come and go each second. A Set would do as well, but V8 links each table that a Set outgrows to its
// successor: once one of them is old, every later one is kept until the next full collection, with all that was in it.

/** Members may be added and taken away while others are looked at. */
export class Roster<T extends object> implements Iterable<T> {
  /** Where a member says which seat is its own. */
  readonly #seat = Symbol('seat');
  readonly #members: T[] = [];

  get size(): number {
    return this.#members.length;
  }

  add(member: T): void {
    const seats = this.#seatsOf(member);
    if (seats[this.#seat] !== undefined) return;
    seats[this.#seat] = this.#members.push(member) - 1;
  }

  delete(member: T): void {
    const seats = this.#seatsOf(member);
    const seat = seats[this.#seat];
    if (seat === undefined) return;
    seats[this.#seat] = undefined;
    // The last one takes the seat.
    const last = this.#members.pop();
    if (last === undefined || last === member) return;
    this.#members[seat] = last;
    this.#seatsOf(last)[this.#seat] = seat;
  }

  /** Those who are here now. */
  [Symbol.iterator](): Iterator<T> {
    return this.#members.slice()[Symbol.iterator]();
  }

  #seatsOf(member: T): Record<symbol, number | undefined> {
    // Nobody else has this symbol.
    return member as Record<symbol, number | undefined>;
  }
}
