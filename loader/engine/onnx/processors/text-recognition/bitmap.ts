import { assertPictureSize, type Picture, unreadablePicture } from "./picture.ts";

const fileHeaderBytes = 14;
const infoHeaderBytes = 40;

const uncompressed = 0;
const bitFields = 3;
const bitFieldsWithAlpha = 6;

/** Where one colour stands in a pixel of 16 or 32 bits. `max` is 0 for a colour that is not stored. */
interface Channel {
  readonly shift: number;
  readonly max: number;
}

interface Layout {
  readonly width: number;
  readonly height: number;
  readonly bottomUp: boolean;
  readonly bitsPerPixel: number;
  readonly pixelsAt: number;
  /** Bytes of a row: whole groups of four. */
  readonly stride: number;
  readonly red: Channel;
  readonly green: Channel;
  readonly blue: Channel;
  readonly alpha: Channel;
  readonly paletteAt: number;
  readonly paletteSize: number;
}

type WriteRow = (view: DataView, layout: Layout, rowAt: number, data: Uint8Array, at: number) => void;

/** Tells whether bytes begin as a Windows bitmap. */
export function isBitmap(bytes: Uint8Array): boolean {
  return bytes[0] === 0x42 && bytes[1] === 0x4d;
}

/**
 * Decodes a Windows bitmap: 1, 4 and 8 bits with a palette, 16, 24 and 32 bits, plain or with bit fields, rows from the
 * bottom or from the top, alpha laid over white. Throws ServingError INVALID_INPUT that names `field` for other kinds
 * (run lengths, embedded JPEG) and for files that are cut short.
 */
export function pictureFromBitmap(bytes: Uint8Array, field: string): Picture {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const layout = layoutFromHeader(view, field);
  const { width, height, stride } = layout;
  const writeRow = rowWriter(layout.bitsPerPixel);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const row = layout.bottomUp ? height - 1 - y : y;
    writeRow(view, layout, layout.pixelsAt + row * stride, data, y * width * 3);
  }
  return { width, height, data };
}

function layoutFromHeader(view: DataView, field: string): Layout {
  if (view.byteLength < fileHeaderBytes + infoHeaderBytes) throw unreadablePicture(field);
  const headerBytes = view.getUint32(14, true);
  const width = view.getInt32(18, true);
  const signedHeight = view.getInt32(22, true);
  const height = Math.abs(signedHeight);
  const bitsPerPixel = view.getUint16(28, true);
  const compression = view.getUint32(30, true);
  if (headerBytes < infoHeaderBytes || width < 1 || height < 1) throw unreadablePicture(field);
  if (!isSupported(bitsPerPixel, compression)) throw unreadablePicture(field);
  assertPictureSize(width, height, field);

  const pixelsAt = view.getUint32(10, true);
  const stride = Math.ceil((width * bitsPerPixel) / 32) * 4;
  const paletteAt = fileHeaderBytes + headerBytes;
  const paletteSize = bitsPerPixel > 8 ? 0 : Math.min(view.getUint32(46, true) || 256, 1 << bitsPerPixel);
  const paletteEnd = paletteAt + paletteSize * 4;
  if (paletteEnd > view.byteLength || pixelsAt + stride * height > view.byteLength) throw unreadablePicture(field);
  const channels = channelsFromHeader(view, { bitsPerPixel, compression, headerBytes }, field);
  const bottomUp = signedHeight > 0;
  return { width, height, bottomUp, bitsPerPixel, pixelsAt, stride, paletteAt, paletteSize, ...channels };
}

function isSupported(bitsPerPixel: number, compression: number): boolean {
  if (compression === uncompressed) return [1, 4, 8, 16, 24, 32].includes(bitsPerPixel);
  if (compression === bitFields || compression === bitFieldsWithAlpha)
    return bitsPerPixel === 16 || bitsPerPixel === 32;
  return false;
}

function channelsFromHeader(
  view: DataView,
  header: { bitsPerPixel: number; compression: number; headerBytes: number },
  field: string,
): Pick<Layout, "red" | "green" | "blue" | "alpha"> {
  if (header.compression === uncompressed) {
    const masks = header.bitsPerPixel === 16 ? [0x7c00, 0x03e0, 0x001f] : [0xff0000, 0xff00, 0xff];
    return channelsFromMasks(masks, field);
  }
  // The masks follow the 40 bytes of the plain header: inside longer headers, behind the plain one.
  const hasAlpha = header.compression === bitFieldsWithAlpha || header.headerBytes >= 56;
  const count = hasAlpha ? 4 : 3;
  if (54 + count * 4 > view.byteLength) throw unreadablePicture(field);
  const masks = Array.from({ length: count }, (_, index) => view.getUint32(54 + index * 4, true));
  return channelsFromMasks(masks, field);
}

function channelsFromMasks(masks: readonly number[], field: string): Pick<Layout, "red" | "green" | "blue" | "alpha"> {
  const [red = 0, green = 0, blue = 0, alpha = 0] = masks;
  return {
    red: channelFromMask(red, field),
    green: channelFromMask(green, field),
    blue: channelFromMask(blue, field),
    alpha: channelFromMask(alpha, field),
  };
}

function channelFromMask(mask: number, field: string): Channel {
  if (mask === 0) return { shift: 0, max: 0 };
  const shift = Math.clz32(mask & -mask) ^ 31;
  const max = mask >>> shift;
  // A colour's bits stand side by side: the mask, shifted down, is one less than a power of two.
  if ((max & (max + 1)) !== 0) throw unreadablePicture(field);
  return { shift, max };
}

function rowWriter(bitsPerPixel: number): WriteRow {
  if (bitsPerPixel <= 8) return writePaletteRow;
  return bitsPerPixel === 24 ? writePlainRow : writeMaskedRow;
}

function writePlainRow(view: DataView, layout: Layout, rowAt: number, data: Uint8Array, at: number): void {
  for (let x = 0; x < layout.width; x++) {
    data[at + x * 3] = view.getUint8(rowAt + x * 3 + 2);
    data[at + x * 3 + 1] = view.getUint8(rowAt + x * 3 + 1);
    data[at + x * 3 + 2] = view.getUint8(rowAt + x * 3);
  }
}

function writePaletteRow(view: DataView, layout: Layout, rowAt: number, data: Uint8Array, at: number): void {
  const bits = layout.bitsPerPixel;
  const perByte = 8 / bits;
  const mask = (1 << bits) - 1;
  for (let x = 0; x < layout.width; x++) {
    const byte = view.getUint8(rowAt + Math.floor(x / perByte));
    const index = (byte >> (8 - bits * ((x % perByte) + 1))) & mask;
    // An index past the palette is black, as in other readers.
    if (index >= layout.paletteSize) continue;
    const entryAt = layout.paletteAt + index * 4;
    data[at + x * 3] = view.getUint8(entryAt + 2);
    data[at + x * 3 + 1] = view.getUint8(entryAt + 1);
    data[at + x * 3 + 2] = view.getUint8(entryAt);
  }
}

function writeMaskedRow(view: DataView, layout: Layout, rowAt: number, data: Uint8Array, at: number): void {
  const wide = layout.bitsPerPixel === 32;
  for (let x = 0; x < layout.width; x++) {
    const pixel = wide ? view.getUint32(rowAt + x * 4, true) : view.getUint16(rowAt + x * 2, true);
    const opacity = layout.alpha.max === 0 ? 1 : channelValue(pixel, layout.alpha) / 255;
    const paper = 255 * (1 - opacity);
    data[at + x * 3] = Math.round(channelValue(pixel, layout.red) * opacity + paper);
    data[at + x * 3 + 1] = Math.round(channelValue(pixel, layout.green) * opacity + paper);
    data[at + x * 3 + 2] = Math.round(channelValue(pixel, layout.blue) * opacity + paper);
  }
}

function channelValue(pixel: number, channel: Channel): number {
  if (channel.max === 0) return 0;
  return (((pixel >>> channel.shift) & channel.max) >>> 0) * (255 / channel.max);
}
