import { join } from "node:path";
import type { ServiceDefinition } from "../../proto/gen/athena/v1/service_pb.ts";
import { CommandFailure } from "../failure.ts";
import { envelopeFrom, testValuesFrom } from "../test-values.ts";

/** A longer request goes into a file: a terminal shows no more at a glance, and a command line has an end. */
const maxShownLength = 1000;

/**
 * How a service is called: a curl line that works as it is, with the service's own test values, or what the service lacks for
 * one. A long request is written into `folder`.
 */
export async function callFrom(definition: ServiceDefinition, gatewayUrl: string, folder: string): Promise<string> {
  const { id, once } = definition;
  if (!once) return `${id} answers sessions alone, no once-calls.`;
  const url = `${gatewayUrl}/v1/private/${id}`;
  try {
    const body = envelopeFrom(id, testValuesFrom(definition));
    return `curl -H 'content-type: application/json' ${url} \\\n    -d ${await argumentFrom(id, body, folder)}`;
  } catch (thrown) {
    if (thrown instanceof CommandFailure) return `POST ${url}\n  (${thrown.message})`;
    throw thrown;
  }
}

async function argumentFrom(id: string, body: string, folder: string): Promise<string> {
  if (body.length <= maxShownLength) return quoted(body);
  const file = join(folder, `${id}.json`);
  await Bun.write(file, body);
  return quoted(`@${file}`);
}

/** One word for a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
