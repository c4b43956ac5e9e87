/**
 * The same items; `onSilence` is called when the source gives none for `limitMs` while one is waited for. It has to make
 * the source reject. The time that the reader takes does not count.
 */
export async function* watchSilence<Item>(
  items: AsyncIterable<Item>,
  limitMs: number,
  onSilence: () => void,
): AsyncGenerator<Item> {
  const source = items[Symbol.asyncIterator]();
  try {
    for (;;) {
      const timer = setTimeout(onSilence, limitMs);
      const next = await source.next().finally(() => clearTimeout(timer));
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await source.return?.();
  }
}
