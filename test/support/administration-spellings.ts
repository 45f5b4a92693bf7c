// Ways to spell a path that an upstream which normalises aggressively could take for administration (security S09, T13):
// each spelling of the two words at each place, so that no single trick has to be thought of.
export const ADMINISTRATION_SPELLINGS: readonly string[] = ['organization', 'projects'].flatMap((word) => {
  const hex = (text: string) => [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
  const again = (text: string) => text.replaceAll('%', '%25');
  const words = [
    word,
    word.toUpperCase(),
    word[0]!.toUpperCase() + word.slice(1),
    hex(word[0]!) + word.slice(1),
    word.slice(0, -1) + hex(word.at(-1)!).toUpperCase(),
    hex(word),
    hex(word.toUpperCase()),
    again(hex(word)),
    again(again(hex(word))),
    `${word};v=1`,
    `${word}%3bv=1`,
    `${word}%3Fx=1`,
    `${word}%23`,
    `${word.slice(0, 3)}%09${word.slice(3)}`,
    `${word.slice(0, 3)}%e2%80%8b${word.slice(3)}`,
    hex(String.fromCodePoint(word.codePointAt(0)! + 0xfee0)) + word.slice(1),
    `%c1%${((word.charCodeAt(0) & 0x3f) | 0x80).toString(16)}${word.slice(1)}`,
    `%20${word}`,
  ];
  const places = (spelled: string) => [
    `/v1/${spelled}`,
    `/v1/${spelled}/`,
    `/v1//${spelled}/api_keys`,
    `/v1/v1/${spelled}/users`,
    `/v1/./${spelled}`,
    `/v1/%2e/${spelled}/x`,
    `/v1/;a=b/${spelled}`,
    `/v1%2f${spelled}%2fcosts`,
    `/v1%252F${spelled}`,
    `/v1/%5c${spelled}`,
    `/V1/${spelled}/usage`,
    `/v1/models/../${spelled}`,
    `/v1/models/%2e%2e/${spelled}`,
    `/v1/models/..;/${spelled}`,
    `/v1/models/..%2f${spelled}`,
    `/v1%c0%af${spelled}`,
  ];
  return words.flatMap(places);
});
