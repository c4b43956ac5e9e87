import RandExp from "randexp";

/** A short text of each format that schemas name. */
const byFormat: Readonly<Record<string, string>> = {
  "date-time": "2025-01-01T00:00:00Z",
  date: "2025-01-01",
  time: "00:00:00Z",
  email: "a@example.com",
  hostname: "example.com",
  ipv4: "192.0.2.1",
  ipv6: "2001:db8::1",
  uri: "https://example.com/",
  uuid: "00000000-0000-4000-8000-000000000000",
};

const maxLengthOfSample = 1024;

/** Patterns that ask for more repetitions than these, one within the other, are no example that anybody reads. */
const maxRepetitions = 4096;

/** A text for the schema of a string: of its format, as long as it must be, and such as its pattern asks for, where one is found. */
export function sampleText(schema: Readonly<Record<string, unknown>>): string {
  const { format, minLength, maxLength, pattern } = schema;
  if (typeof format === "string" && Object.hasOwn(byFormat, format)) return byFormat[format] ?? "";
  const least = Math.min(numberOr(minLength, 0), maxLengthOfSample);
  const most = numberOr(maxLength, maxLengthOfSample);
  const plain = "text".padEnd(least, "x").slice(0, most);
  return typeof pattern === "string" ? (textForPattern(pattern, plain, { least, most }) ?? plain) : plain;
}

interface Lengths {
  readonly least: number;
  readonly most: number;
}

/** The plain text where the pattern lets it through, else the simplest that was made for it; undefined where none was. */
function textForPattern(pattern: string, plain: string, { least, most }: Lengths): string | undefined {
  const expression = expressionFrom(pattern);
  if (expression === undefined || expression.test(plain)) return undefined;
  for (let extra = 0; extra <= least; extra = extra * 2 + 1) {
    const text = repetitionsOf(pattern, extra) > maxRepetitions ? undefined : generated(expression, extra);
    if (text === undefined) return undefined;
    if (text.length >= least && text.length <= most && expression.test(text)) return text;
  }
  return undefined;
}

function expressionFrom(pattern: string): RegExp | undefined {
  try {
    return new RegExp(pattern, "u");
  } catch {
    return undefined;
  }
}

/** Takes the first of all choices, and repeats as rarely as may be, but for `extra` times: no two documents differ by chance. */
function generated(expression: RegExp, extra: number): string | undefined {
  try {
    const generator = new RandExp(expression);
    generator.max = extra;
    generator.randInt = (from, to) => Math.min(to, from + extra);
    return generator.gen();
  } catch {
    // It does not know all that an expression may be made of.
    return undefined;
  }
}

/** No fewer than one within the other can come to: every repetition counts as if it stood within all others. */
function repetitionsOf(pattern: string, extra: number): number {
  let product = 1;
  for (const [, count = "0"] of pattern.matchAll(/[*+]|\{(\d+)/g)) product *= Math.max(1, Number(count)) + extra;
  return product;
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === "number" ? value : otherwise;
}
