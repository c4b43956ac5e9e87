/** Where a mistake stands in a text, both counted from 1. */
export interface TextPosition {
  readonly line: number;
  readonly column: number;
}

/**
 * Where JSON text breaks the grammar first: the runtime's parser does not tell. Only for text that did not parse, and
 * whose depth was bounded before. For text that ends too early it is the position after its end.
 */
export function positionOfMistake(text: string): TextPosition {
  const offset = offsetOfMistake(text);
  let line = 1;
  let start = 0;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", start)) {
    line++;
    start = at + 1;
  }
  return { line, column: offset - start + 1 };
}

/** The characters that may begin the next token; `w` stands for every one that begins a number or a word. */
const allowed = {
  value: '{["w',
  "value or ]": '{["w]',
  key: '"',
  "key or }": '"}',
  colon: ":",
  "comma or ]": ",]",
  "comma or }": ",}",
  nothing: "",
} as const;

type Expected = keyof typeof allowed;

const space = /[ \t\r\n]*/y;
const word = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;
const escaped = /\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/y;

/** The offset of the first character that JSON does not allow in its place; the text's length where there is none. */
function offsetOfMistake(text: string): number {
  const open: string[] = [];
  let expected: Expected = "value";
  for (let at = endOf(space, text, 0) ?? 0; at < text.length; at = endOf(space, text, at) ?? at) {
    const character = text.charAt(at);
    const kind = '{}[]:,"'.includes(character) ? character : "w";
    if (!allowed[expected].includes(kind)) return at;
    if ("{[".includes(kind)) open.push(kind);
    if ("}]".includes(kind)) open.pop();
    expected = expectedAfter(kind, expected, open.at(-1));
    const end = endOfToken(kind, text, at);
    if (end < 0) return ~end;
    at = end;
  }
  return text.length;
}

/** Where a token ends; a mistake at offset n inside it is `~n`, which is below 0. */
function endOfToken(kind: string, text: string, at: number): number {
  if (kind === '"') return endOfString(text, at);
  return kind === "w" ? (endOf(word, text, at) ?? ~at) : at + 1;
}

function expectedAfter(kind: string, expected: Expected, container: string | undefined): Expected {
  if (kind === "{") return "key or }";
  if (kind === "[") return "value or ]";
  if (kind === ":") return "value";
  if (kind === ",") return container === "{" ? "key" : "value";
  if (expected === "key" || (expected === "key or }" && kind === '"')) return "colon";
  if (container === undefined) return "nothing";
  return container === "{" ? "comma or }" : "comma or ]";
}

/** Where what the pattern matches at this place ends; undefined where it does not match. */
function endOf(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (character === 0x22) return at + 1;
    if (character < 0x20) return ~at;
    if (character === 0x5c) {
      const end = endOf(escaped, text, at);
      if (end === undefined) return ~at;
      at = end - 1;
    }
  }
  return text.length;
}
