import type { Part } from "../../../proto/gen/athena/v1/part_pb.ts";

/** A frame whose body is not what its kind says. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

/** Reads the body of one frame; README.md in this folder has the format. Every method throws FrameError at its end. */
export interface ByteReader {
  u8(): number;
  u32(): number;
  i32(): number;
  text(): string;
  /** A view into the frame, not a copy. */
  bytes(): Uint8Array;
  map(): Record<string, string>;
  list<Item>(read: () => Item): Item[];
  part(): Part;
}

// A text may begin with a byte order mark of its own, which is data here.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Builds a reader at the start of a body. */
export function createByteReader(body: Uint8Array): ByteReader {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let at = 0;
  const take = (size: number): number => {
    if (at + size > body.length) throw new FrameError(`a frame ends ${at + size - body.length} bytes too early`);
    at += size;
    return at - size;
  };
  const reader: ByteReader = {
    u8: () => view.getUint8(take(1)),
    u32: () => view.getUint32(take(4), true),
    i32: () => view.getInt32(take(4), true),
    text: () => decoder.decode(reader.bytes()),
    bytes() {
      const size = reader.u32();
      const start = take(size);
      return body.subarray(start, start + size);
    },
    map() {
      const result: Record<string, string> = {};
      for (let left = reader.u32(); left > 0; left -= 1) {
        const key = reader.text();
        const value = reader.text();
        // Assigning to this one key would change the object instead of keeping the value.
        if (key !== "__proto__") result[key] = value;
      }
      return result;
    },
    list(read) {
      const result = [];
      // Every item takes at least a byte, so a count that lies ends at the end of the frame.
      for (let left = reader.u32(); left > 0; left -= 1) result.push(read());
      return result;
    },
    part() {
      const name = reader.text();
      const type = reader.u8();
      const attributes = reader.map();
      return { $typeName: "athena.v1.Part", name, type, attributes, data: reader.bytes() };
    },
  };
  return reader;
}
