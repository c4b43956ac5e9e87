/** Holds a session's input back until it is known who gets it. Disposing of it closes the input, without waiting. */
export interface InputGate<Input> extends Disposable {
  /** Whether the input may have been read. */
  readonly isOpen: boolean;
  /** Lets the input through, for good. */
  open(): void;
  /** The input, for one reader at a time; it says nothing while the gate is closed. */
  inputs(): AsyncIterable<Input>;
}

/** Closes a gate in front of some input. */
export function createInputGate<Input>(inputs: AsyncIterable<Input>): InputGate<Input> {
  const source = inputs[Symbol.asyncIterator]();
  const opened = Promise.withResolvers<void>();
  let isOpen = false;
  const close = (): void => {
    // Not awaited: input that waits for its own next piece would keep the one who leaves.
    source.return?.().catch(() => {});
  };
  const createReader = (): AsyncIterator<Input> => {
    let hasLeft = false;
    const left = { done: true, value: undefined } as const;
    return {
      next: () => (isOpen ? source.next() : opened.promise.then(() => (hasLeft ? left : source.next()))),
      async return() {
        // A reader that leaves before it has read leaves the input to the next one.
        hasLeft = true;
        if (isOpen) close();
        return left;
      },
    };
  };
  return {
    get isOpen() {
      return isOpen;
    },
    open() {
      isOpen = true;
      opened.resolve();
    },
    inputs: () => ({ [Symbol.asyncIterator]: createReader }),
    [Symbol.dispose]: close,
  };
}
