/** What is wrong with a request, in the order in which it was found. */
export interface MistakeList {
  /** The first mistakes, each with its path. */
  readonly texts: string[];
  /** Those of them that say that data is too long. */
  readonly tooLarge: string[];
}

/** More mistakes than these help nobody, and a request could have a million. */
const maxMistakes = 1000;

/** Builds an empty list. */
export function createMistakeList(): MistakeList {
  return { texts: [], tooLarge: [] };
}

/** Notes a mistake, unless there are too many already. */
export function note(mistakes: MistakeList, path: string, words: string, isSize = false): void {
  if (mistakes.texts.length + mistakes.tooLarge.length >= maxMistakes) return;
  (isSize ? mistakes.tooLarge : mistakes.texts).push(`'${path}' ${words}`);
}

/** Whether nothing was found. */
export function isEmpty({ texts, tooLarge }: MistakeList): boolean {
  return texts.length === 0 && tooLarge.length === 0;
}

/** Notes what another list holds. */
export function noteAll(mistakes: MistakeList, found: MistakeList): void {
  mistakes.texts.push(...found.texts.slice(0, maxMistakes));
  mistakes.tooLarge.push(...found.tooLarge.slice(0, maxMistakes));
}
