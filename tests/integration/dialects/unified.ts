import { type AnswerPart, attributesOf, type Dialect, framesFor, type Question } from "./question.ts";

const members = new Set(["text", "audio", "image", "video", "other"]);

function envelopeOf({ service, parts, wishes }: Question, header: object = {}): object {
  const streams = parts.map(({ name, member, attributes: { shape, ...rest }, data }) => {
    const shapeOf = shape === undefined ? {} : { shape: JSON.parse(shape) };
    return [name, { ...rest, ...shapeOf, [member]: data.toBase64() }];
  });
  return {
    header: { app_id: "1", status: 3, ...header },
    parameter: { [service]: wishes },
    payload: Object.fromEntries(streams),
  };
}

/** The parts of an answer's text. Data that stands there as JSON is taken as it was written, not as it was read. */
function partsFrom(text: string): AnswerPart[] {
  const { header, payload = {} } = JSON.parse(text);
  if (header.code !== 0) throw new Error(text);
  return Object.entries<Readonly<Record<string, unknown>>>(payload).map(([name, stream]) => {
    const [member = ""] = Object.keys(stream).filter((key) => members.has(key));
    const { [member]: value, ...attributes } = stream;
    const start = text.indexOf(`"${member}":`) + member.length + 3;
    // Of one output, whose data is the last member.
    const isEmbedded = attributes.format === "json" && text[start] !== '"';
    const data = isEmbedded ? Buffer.from(text.slice(start, -3)) : Buffer.from(String(value), "base64");
    return { name, attributes: attributesOf(attributes), data: new Uint8Array(data) };
  });
}

async function post(url: string, envelope: object, accept: string): Promise<string> {
  const headers = { "content-type": "application/json", accept };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(envelope) });
  return response.text();
}

/** Two questions on one connection at a time; gives the answer of the second, when both are there. */
async function askMultiplexed(url: string, question: Question): Promise<AnswerPart[]> {
  const cids = ["a", "the other one"];
  const sent = cids.map((cid) => JSON.stringify(envelopeOf(question, { cid })));
  const results = (frames: readonly unknown[]) =>
    frames.map(String).filter((text) => JSON.parse(text).payload !== undefined || JSON.parse(text).header.code !== 0);
  const frames = await framesFor(`${url}?stream_mode=multiplex`, sent, undefined, (all) => results(all).length === 2);
  const [first = "", second = ""] = cids.map(
    (cid) => results(frames).find((text) => JSON.parse(text).header.cid === cid) ?? "{}",
  );
  const [ours, other] = [partsFrom(second), partsFrom(first)];
  if (!Bun.deepEquals(ours, other)) throw new Error("two sessions with one question have different answers");
  return ours;
}

/** The unified protocol: envelopes of JSON over HTTP, as streams of results, and over WebSocket. */
export function createUnifiedDialects(base: string): Readonly<Record<string, Dialect>> {
  const urlOf = ({ service }: Question) => `${base}/${service}`;
  return {
    http: { ask: async (question) => partsFrom(await post(urlOf(question), envelopeOf(question), "*/*")) },
    "server-sent events": {
      async ask(question) {
        const text = await post(urlOf(question), envelopeOf(question), "text/event-stream");
        const events = text.split("\n\n").filter((event) => event.startsWith("data: "));
        return events.flatMap((event) => partsFrom(event.slice("data: ".length)));
      },
    },
    "json lines": {
      async ask(question) {
        const text = await post(urlOf(question), envelopeOf(question), "application/x-ndjson");
        return text.split("\n").filter(Boolean).flatMap(partsFrom);
      },
    },
    websocket: {
      async ask(question) {
        const frames = await framesFor(urlOf(question), [JSON.stringify(envelopeOf(question))]);
        return partsFrom(String(frames.at(-1)));
      },
    },
    "websocket, JSON in a binary frame": {
      async ask(question) {
        const frame = new TextEncoder().encode(JSON.stringify(envelopeOf(question)));
        return partsFrom(String((await framesFor(urlOf(question), [frame])).at(-1)));
      },
    },
    "websocket, many sessions": { ask: (question) => askMultiplexed(urlOf(question), question) },
  };
}
