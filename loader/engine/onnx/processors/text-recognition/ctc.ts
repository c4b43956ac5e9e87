/** A character that the model read, and where. */
export interface ReadCharacter {
  readonly text: string;
  /** The highest probability among its steps. */
  readonly score: number;
  /** Its first and last step. */
  readonly first: number;
  readonly last: number;
  /** The highest probability of a space between the character before and this one; 0 for the first. */
  readonly spaceBefore: number;
}

/** What one step says: its likeliest class, and how probably it is a space instead. */
interface Step {
  readonly class: number;
  readonly text: string;
  readonly score: number;
  readonly spaceScore: number;
}

/**
 * Reads what a CTC model answered: at every step the likeliest class, repetitions once, blanks dropped. Spaces become
 * no characters: their probability is kept with the character after them, because the model often knows a gap and
 * still prefers the blank. `probabilities` holds `alphabet.length` values a step; class 0 is the blank.
 */
export function charactersFromProbabilities(probabilities: Float32Array, alphabet: readonly string[]): ReadCharacter[] {
  const characters: ReadCharacter[] = [];
  let spaceBefore = 0;
  let previous = 0;
  for (const [index, step] of stepsFromProbabilities(probabilities, alphabet).entries()) {
    const last = characters.at(-1);
    if (step.text === "") {
      if (last !== undefined) spaceBefore = Math.max(spaceBefore, step.spaceScore);
    } else if (step.class === previous && last !== undefined) {
      characters[characters.length - 1] = { ...last, last: index, score: Math.max(last.score, step.score) };
    } else {
      characters.push({ text: step.text, score: step.score, first: index, last: index, spaceBefore });
      spaceBefore = 0;
    }
    previous = step.class;
  }
  return characters;
}

function stepsFromProbabilities(probabilities: Float32Array, alphabet: readonly string[]): Step[] {
  const classes = alphabet.length;
  const space = alphabet.lastIndexOf(" ");
  return Array.from({ length: Math.floor(probabilities.length / classes) }, (_, index) => {
    const row = probabilities.subarray(index * classes, (index + 1) * classes);
    const likeliest = indexOfHighest(row);
    const score = row[likeliest] ?? 0;
    // The dictionary has a wide space of its own among its characters.
    const text = alphabet[likeliest]?.trim() ?? "";
    const isSpace = likeliest !== 0 && text === "";
    return { class: likeliest, text, score, spaceScore: isSpace ? score : (row[space] ?? 0) };
  });
}

function indexOfHighest(row: Float32Array): number {
  let best = 0;
  let highest = -1;
  for (let index = 0; index < row.length; index++) {
    const value = row[index] ?? 0;
    if (value <= highest) continue;
    highest = value;
    best = index;
  }
  return best;
}

/** The model's classes from its dictionary file: the blank, one character a line, the space. */
export function alphabetFromDictionary(dictionary: string): string[] {
  const lines = dictionary.split("\n").map((line) => line.replace("\r", ""));
  if (lines.at(-1) === "") lines.pop();
  return ["", ...lines, " "];
}
