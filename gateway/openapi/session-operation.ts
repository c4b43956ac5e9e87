import type { JsonObject } from "./api-part.ts";
import { errorRefs, unifiedErrors } from "./errors.ts";

/** What {@link sessionOperation} is told. */
export interface SessionTold {
  /** The service's or category's. */
  readonly id: string;
  /** What its callers' frames are. */
  readonly sent: string;
  /** The schema of the frames to them, by its name. */
  readonly received: string;
  readonly codeMap: ReadonlyMap<number, number>;
}

/** The statuses of a request that becomes no WebSocket. */
const refusals = [400, 401, 403, 404, 405, 429, 503];

/**
 * The GET that becomes a WebSocket, which OpenAPI has no words of its own for. The headers of its handshake are left out:
 * every client of WebSockets has them.
 */
export function sessionOperation({ id, sent, received, codeMap }: SessionTold): JsonObject {
  const errors = errorRefs(unifiedErrors, codeMap);
  const statuses = new Set([...refusals, ...codeMap.values()].map(String));
  return {
    operationId: `session_${id}`,
    tags: [id],
    summary: `Opens a WebSocket for a session with ${id}`,
    description: [
      `Each frame is one message. The caller's are ${sent}; the gateway's are \`${received}\`: one as soon as the session is open, and one for each result.`,
      "After the last result the gateway closes with 1000, after an error's frame with a code that says whose fault it is. A gateway that is busy says so in a frame too.",
    ].join("\n\n"),
    parameters,
    responses: {
      "101": {
        description: "The connection is a WebSocket.",
        headers: { "Sec-WebSocket-Protocol": { description: "The chosen subprotocol.", schema: { type: "string" } } },
      },
      ...Object.fromEntries(Object.entries(errors).filter(([status]) => statuses.has(status))),
    },
  };
}

const parameters = [
  {
    name: "stream_mode",
    in: "query",
    description: "`multiplex`: many sessions on one connection; every frame names its own in `header.cid`.",
    schema: { type: "string", examples: ["multiplex"] },
  },
  {
    name: "resume",
    in: "query",
    description:
      "`true`: sessions outlive the connection, and are taken up again with the `sid` and the `resume_token` of their first frame.",
    schema: { type: "string", examples: ["true"] },
  },
  {
    name: "Sec-WebSocket-Protocol",
    in: "header",
    description:
      "`athena.v1.json`, as without it, or `athena.v1.proto`: binary frames of `athena.v1.WebSocketRequest`.",
    schema: { type: "string", examples: ["athena.v1.proto"] },
  },
];
