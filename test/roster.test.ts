// Who is here: whatever comes and goes, in any order, as a Set would have it.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { Roster } from '../src/domain/roster.ts';

test('a roster holds what a set would, however its members come and go', () => {
  const moves = fc.array(fc.record({ who: fc.nat({ max: 9 }), comes: fc.boolean() }), { maxLength: 200 });
  fc.assert(
    fc.property(moves, (all) => {
      const people = Array.from({ length: 10 }, (_, name) => ({ name }));
      const roster = new Roster<{ name: number }>();
      const other = new Roster<{ name: number }>();
      const expected = new Set<{ name: number }>();
      for (const { who, comes } of all) {
        const person = people[who]!;
        if (comes) {
          roster.add(person);
          expected.add(person);
        } else {
          roster.delete(person);
          expected.delete(person);
        }
        // A seat in one roster is none in another.
        other.add(person);
        assert.deepEqual(new Set(roster), expected);
        assert.equal(roster.size, expected.size);
      }
    }),
  );
});

test('members may leave and come while the others are looked at', () => {
  const roster = new Roster<{ name: string }>();
  const [a, b, c] = ['a', 'b', 'c'].map((name) => ({ name })) as [{ name: string }, { name: string }, { name: string }];
  for (const each of [a, b]) roster.add(each);
  const seen: string[] = [];
  for (const each of roster) {
    seen.push(each.name);
    roster.delete(each);
    roster.add(c);
  }
  assert.deepEqual(seen, ['a', 'b']);
  assert.deepEqual([...roster], [c]);
});
