import { createParser } from "eventsource-parser";
import { unusableError } from "../server-error.ts";

/** One event is a few words of an answer; a longer one than this, in characters, is no answer of a model. */
const maxEventLength = 4_194_304;

/**
 * The data of each event of a stream, as soon as its last byte is there. An event that the end of the stream cuts off
 * counts too: some servers close right behind an error.
 *
 * @throws ServingError OUTPUT_UNEXPECTED for an event that does not end, and what the chunks throw.
 */
export async function* eventsFrom(service: string, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const events: string[] = [];
  let isTooLong = false;
  const parser = createParser({
    maxBufferSize: maxEventLength,
    onEvent: ({ data }) => events.push(data),
    onError({ type }) {
      isTooLong ||= type === "max-buffer-size-exceeded";
    },
  });
  const decoder = new TextDecoder();
  for await (const chunk of chunks) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    if (isTooLong) throw unusableError(service, `an event is longer than ${maxEventLength} characters`);
    yield* events.splice(0);
  }
  parser.feed(`${decoder.decode()}\n\n`);
  yield* events;
}
