/** What is asked of a service, in no protocol's words. */
export interface Question {
  readonly service: string;
  readonly parts: readonly QuestionPart[];
  /** What is wanted of outputs, by their names. */
  readonly wishes: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** One input. A tensor has the attributes `datatype` and `shape`. */
export interface QuestionPart {
  readonly name: string;
  readonly member: "text" | "image" | "other";
  readonly attributes: Readonly<Record<string, string>>;
  readonly data: Uint8Array;
}

/** One output as every protocol has it: attributes are texts, without the place in the answer, data is bytes. */
export interface AnswerPart {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly data: Uint8Array;
}

/** One protocol, from a question to its answer. */
export interface Dialect {
  ask(question: Question): Promise<readonly AnswerPart[]>;
  /** Whether the protocol has a form for this question; every one unless told. */
  readonly takes?: (question: Question) => boolean;
}

/** Attributes as texts, without the place in the answer, which a session has and a once-call has not. */
export function attributesOf({ seq, status, ...rest }: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, String(value)]));
}

/** Sends frames on a WebSocket of their own and gives those that come until it is closed. */
export async function framesFor(
  url: string,
  sent: readonly (string | Uint8Array<ArrayBuffer>)[],
  subprotocol?: string,
  isLast: (frames: readonly (string | ArrayBuffer)[]) => boolean = () => false,
): Promise<(string | ArrayBuffer)[]> {
  const socket = new WebSocket(url.replace("http", "ws"), subprotocol);
  socket.binaryType = "arraybuffer";
  const frames: (string | ArrayBuffer)[] = [];
  socket.onopen = () => {
    for (const frame of sent) socket.send(frame);
  };
  socket.onmessage = ({ data }) => {
    frames.push(data);
    if (isLast(frames)) socket.close(1000);
  };
  await new Promise((resolve) => {
    socket.onclose = resolve;
  });
  return frames;
}
