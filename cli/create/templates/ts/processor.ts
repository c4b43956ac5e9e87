/** One piece of data of a request or of an answer. */
interface Part {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly data: Uint8Array;
}

/** What service.yaml says: its engine.options, and what ONNX sessions are to be created with. */
interface Context {
  readonly options: Readonly<Record<string, unknown>>;
  readonly sessionOptions: object;
}

/**
 * Loads the models, in the process that computes, and runs each once, so that the first request does not pay for it. Sessions
 * are created with `context.sessionOptions`, by InferenceSession.create of onnxruntime-node.
 */
export async function createProcessor(context: Context, report: (progress: string) => void) {
  const word = String(context.options.word ?? "hello");
  report("loaded");
  return {
    /** Answers one request. Nothing else runs in this process meanwhile. */
    async infer<P extends Part>(request: { readonly parts: readonly P[] }): Promise<P[]> {
      return request.parts.map((part) => {
        const name = new TextDecoder().decode(part.data);
        return { ...part, name: "greeting", data: new TextEncoder().encode(`${word}, ${name}`) };
      });
    },
    /** Gives back what was loaded. */
    async release(): Promise<void> {},
  };
}
