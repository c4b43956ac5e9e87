const quote = 0x22;
const backslash = 0x5c;

/**
 * Tells whether JSON text nests objects and arrays deeper than `maxDepth`. Looked at before parsing, because the parser
 * sets no bound: 16 MB of brackets cost it 2 s and 630 MB. Text with few brackets in all, as a usual request is, costs
 * two native searches; only other text is read character by character, and no further than to the first that is too deep.
 */
export function isDeeperThan(maxDepth: number, text: string): boolean {
  const braces = countUpTo(maxDepth, "{", text);
  if (braces + countUpTo(maxDepth - braces, "[", text) <= maxDepth) return false;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) at = endOfString(text, at);
    else if (code === 0x7b || code === 0x5b) {
      if (++depth > maxDepth) return true;
    } else if (code === 0x7d || code === 0x5d) depth--;
  }
  return false;
}

/** Counts a character in the text; stops at the first beyond `bound`. */
function countUpTo(bound: number, character: string, text: string): number {
  let count = 0;
  for (let at = text.indexOf(character); at !== -1 && count <= bound; at = text.indexOf(character, at + 1)) count++;
  return count;
}

/** The place of the quote that ends the string which begins at `start`; the text's length where none does. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let escapes = 0;
    while (text.charCodeAt(at - 1 - escapes) === backslash) escapes++;
    if (escapes % 2 === 0) return at;
  }
  return text.length;
}
