import { codeToHttpStatus, errorToJson } from "@connectrpc/connect/protocol-connect";
import { connectErrorFrom } from "../../../proto/connect-error.ts";
import { errorTable, ServingError } from "../../../proto/errors.ts";
import type { JsonObject } from "../api-part.ts";
import type { ErrorForm } from "../errors.ts";

/** Connect's, whose HTTP statuses follow from its codes. */
export const connectErrors: ErrorForm = {
  name: "ConnectError",
  example: ({ reason }) => errorToJson(connectErrorFrom(new ServingError(reason, "...")), undefined),
  statusOf: (reason) => codeToHttpStatus(errorTable[reason].code),
};

/** The schema of Connect's errors. */
export const connectErrorSchema: JsonObject = {
  type: "object",
  properties: {
    code: { type: "string" },
    message: { type: "string", description: "Names the field or the service." },
    details: {
      type: "array",
      items: {
        type: "object",
        properties: {
          type: { type: "string", examples: ["athena.v1.ErrorDetail"] },
          value: { type: "string", description: "The message's bytes in base64, without padding." },
        },
        required: ["type", "value"],
      },
    },
  },
  required: ["code"],
};
