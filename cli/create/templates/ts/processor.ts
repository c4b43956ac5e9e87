/** What the loader hands over, as far as this module uses it. */
interface Context<Part> {
  /** The engine.options of service.yaml. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Makes a piece of the answer. */
  part(name: string, type: "text", data: string): Part;
  /** Makes the error that tells a caller what is wrong with the data. */
  refusal(message: string): Error;
}

/**
 * Loads the models, once for each process. `createSession` and `ort` are handed over too: with `engine.model` in service.yaml,
 * `await createSession()` is its session.
 */
export async function createProcessor<Part>({ options, part, refusal }: Context<Part>) {
  const word = String(options.word ?? "hello");
  return {
    /** Answers one request. Nothing else runs in this process meanwhile. */
    async infer({ parts }: { readonly parts: readonly { readonly data: Uint8Array }[] }): Promise<Part[]> {
      const name = new TextDecoder().decode(parts[0]?.data).trim();
      if (name === "") throw refusal("payload.name must not be empty");
      return [part("greeting", "text", `${word}, ${name}`)];
    },
    /** Gives back what was loaded. */
    async release(): Promise<void> {},
  };
}
