import type { Part } from "../../../proto/gen/athena/v1/part_pb.ts";

/** Writes the body of one frame; README.md in this folder has the format. */
export interface ByteWriter {
  u8(value: number): void;
  u32(value: number): void;
  i32(value: number): void;
  text(value: string): void;
  bytes(value: Uint8Array): void;
  /** The written bytes, in pieces that are sent one after the other: large payloads are pieces of their own, not copied. */
  finish(): Uint8Array[];
}

/** Payloads from this size on are sent from where they are instead of being copied beside the rest. */
const minOwnPiece = 65_536;

const encoder = new TextEncoder();

/** Builds an empty writer. */
export function createByteWriter(): ByteWriter {
  let buffer = new Uint8Array(512);
  let view = new DataView(buffer.buffer);
  let length = 0;
  const pieces: Uint8Array[] = [];

  /** Makes room, and moves on. Gives where to write. */
  const advance = (size: number): number => {
    room(size);
    length += size;
    return length - size;
  };
  const room = (size: number): void => {
    if (length + size <= buffer.length) return;
    const larger = new Uint8Array(Math.max(buffer.length * 2, length + size));
    larger.set(buffer.subarray(0, length));
    buffer = larger;
    view = new DataView(buffer.buffer);
  };
  const cut = (): void => {
    if (length > 0) pieces.push(buffer.slice(0, length));
    length = 0;
  };

  const writer: ByteWriter = {
    u8(value) {
      const at = advance(1);
      view.setUint8(at, value);
    },
    u32(value) {
      const at = advance(4);
      view.setUint32(at, value, true);
    },
    i32(value) {
      const at = advance(4);
      view.setInt32(at, value, true);
    },
    text(value) {
      // A UTF-16 unit takes at most three bytes in UTF-8.
      room(4 + value.length * 3);
      const { written } = encoder.encodeInto(value, buffer.subarray(length + 4));
      view.setUint32(length, written, true);
      length += 4 + written;
    },
    bytes(value) {
      writer.u32(value.length);
      if (value.length >= minOwnPiece) {
        cut();
        pieces.push(value);
      } else {
        const at = advance(value.length);
        buffer.set(value, at);
      }
    },
    finish() {
      cut();
      return pieces;
    },
  };
  return writer;
}

/** A count, then each key and value. */
export function writeMap(writer: ByteWriter, map: Readonly<Record<string, string>>): void {
  const keys = Object.keys(map);
  writer.u32(keys.length);
  for (const key of keys) {
    writer.text(key);
    writer.text(map[key] ?? "");
  }
}

/** A count, then each item. */
export function writeList<Item>(writer: ByteWriter, items: readonly Item[], write: (item: Item) => void): void {
  writer.u32(items.length);
  for (const item of items) write(item);
}

/** A part with its data. */
export function writePart(writer: ByteWriter, part: Part): void {
  writer.text(part.name);
  writer.u8(part.type);
  writeMap(writer, part.attributes);
  writer.bytes(part.data);
}
