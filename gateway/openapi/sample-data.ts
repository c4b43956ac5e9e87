import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import type { InputDefinition } from "../../proto/gen/athena/v1/service_pb.ts";
import { bytesFromElements, elementBytes, elementCount, isDatatype } from "../../proto/tensor.ts";
import { jpeg, mp4, png, webm, webp } from "./sample-media.ts";

/** Data for an input, with the attributes that say what it is. */
export interface SampleData {
  readonly data: Uint8Array;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** What is known of each encoding, in base64; the first is what an input gets that says nothing of encodings. */
const pictures = { png, jpg: jpeg, jpeg, webp } as const;
const videos = { mp4, webm } as const;

/** More elements than these are no example that anybody reads. */
const maxElements = 4096;

/**
 * Data that an input of this type may take: what its definition has as an example, a tensor of zeros, or something small of
 * its type. Undefined where nothing small is known. `encodings` are those that the input may be told of.
 */
export function sampleDataFor(input: InputDefinition, encodings: readonly unknown[]): SampleData | undefined {
  if (input.example.length > 0) return { data: input.example, attributes: {} };
  if (input.tensor !== undefined) return zeros(input.tensor);
  switch (input.type) {
    case PartType.IMAGE:
      return encoded(pictures, encodings);
    case PartType.AUDIO:
      return { data: silence(), attributes: {} };
    case PartType.VIDEO:
      return encoded(videos, encodings);
    default:
      return { data: new TextEncoder().encode("hello"), attributes: {} };
  }
}

function encoded(known: Readonly<Record<string, string>>, encodings: readonly unknown[]): SampleData | undefined {
  for (const [encoding, base64] of Object.entries(known)) {
    const attributes = encodings.length === 0 ? {} : { encoding };
    if (encodings.length === 0 || encodings.includes(encoding))
      return { data: Uint8Array.fromBase64(base64), attributes };
  }
  return undefined;
}

/** A hundredth of a second in a WAV file: one channel of 16 bits, 16,000 times a second. */
function silence(): Uint8Array {
  const samples = 160;
  const file = Buffer.alloc(44 + samples * 2);
  file.write("RIFF", 0);
  file.writeUInt32LE(file.length - 8, 4);
  file.write("WAVEfmt ", 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(16_000, 24);
  file.writeUInt32LE(32_000, 28);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write("data", 36);
  file.writeUInt32LE(samples * 2, 40);
  return file;
}

function zeros({ datatype, shape }: NonNullable<InputDefinition["tensor"]>): SampleData | undefined {
  const sizes = shape.map((size) => (size < 0n ? 1 : Number(size)));
  const count = elementCount(sizes);
  if (!isDatatype(datatype) || count > maxElements) return undefined;
  const data =
    datatype === "BYTES"
      ? bytesFromElements(Array.from({ length: count }, () => new Uint8Array()))
      : new Uint8Array(count * elementBytes[datatype]);
  return { data, attributes: { shape: sizes } };
}
