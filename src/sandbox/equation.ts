// Solves one linear equation found in a text, so that the sandbox's best known question gets a true answer.

export interface SolvedEquation {
  readonly equation: string;
  /** What is done and what it leaves, in order. */
  readonly steps: readonly { readonly explanation: string; readonly output: string }[];
  /** Such as `x = 1` or `x = 2/3`. */
  readonly solution: string;
}

/** `a x + b = c` with whole numbers; the guards at both ends keep out words, decimals and longer expressions. */
const linearEquation =
  /(?<![\w.])([+-]?\s*\d{0,9})\s*\*?\s*([a-z])\s*(?:([+-])\s*(\d{1,9}))?\s*=\s*([+-]?\s*\d{1,9})(?!\d|\.\d|\s*[a-z*/^+-])/i;

/** The first linear equation of the text, solved; undefined where there is none that takes a step to solve. */
export function solveEquation(text: string): SolvedEquation | undefined {
  const found = linearEquation.exec(text.replaceAll('\u2212', '-'));
  if (found === null) return undefined;

  const [equation, factor = '', unknown = 'x', sign = '+', added = '0', total = '0'] = found;
  const a = wholeNumber(/\d/.test(factor) ? factor : `${factor}1`);
  const b = wholeNumber(sign + added);
  const c = wholeNumber(total);
  if (a === 0 || (a === 1 && b === 0)) return undefined;

  const steps: { explanation: string; output: string }[] = [];
  const difference = c - b;
  if (b !== 0) {
    const explanation = b > 0 ? `Subtract ${b} from both sides` : `Add ${-b} to both sides`;
    steps.push({ explanation, output: `${term(a, unknown)} = ${difference}` });
  }
  const solution = `${unknown} = ${fraction(difference, a)}`;
  if (a !== 1) steps.push({ explanation: `Divide both sides by ${a}`, output: solution });
  return { equation: equation.trim(), steps, solution };
}

function wholeNumber(text: string): number {
  return Number(text.replaceAll(/\s/g, ''));
}

function term(factor: number, unknown: string): string {
  if (factor === 1) return unknown;
  return factor === -1 ? `-${unknown}` : `${factor}${unknown}`;
}

function fraction(numerator: number, denominator: number): string {
  const divisor = greatestCommonDivisor(Math.abs(numerator), Math.abs(denominator)) * Math.sign(denominator);
  // The addition turns -0 into 0.
  const [top, bottom] = [numerator / divisor + 0, denominator / divisor];
  return bottom === 1 ? `${top}` : `${top}/${bottom}`;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
