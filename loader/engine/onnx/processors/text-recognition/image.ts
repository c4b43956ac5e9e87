import sharp from "sharp";
import { isBitmap, pictureFromBitmap } from "./bitmap.ts";
import { assertPictureSize, type Picture, unreadablePicture } from "./picture.ts";

/**
 * Decodes a JPEG, PNG, BMP or WebP picture (the first frame of a moving one), turned as its EXIF data says, alpha laid
 * over white, whatever its colour space and depth. The size is checked before pixels are decoded. Throws ServingError
 * INVALID_INPUT that names `field` for anything else, cut files included.
 */
export async function pictureFromBytes(bytes: Uint8Array, field: string): Promise<Picture> {
  if (isBitmap(bytes)) return pictureFromBitmap(bytes, field);
  if (!hasKnownSignature(bytes)) throw unreadablePicture(field);
  await assertHeader(bytes, field);
  try {
    const { data, info } = await sharp(bytes, { failOn: "error" })
      .autoOrient()
      .flatten({ background: "white" })
      .toColourspace("srgb")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 3) throw new TypeError(`decoded to ${info.channels} channels`);
    return { width: info.width, height: info.height, data };
  } catch (error) {
    throw unreadablePicture(field, error);
  }
}

async function assertHeader(bytes: Uint8Array, field: string): Promise<void> {
  const { width, height } = await sharp(bytes)
    .metadata()
    .catch((error: unknown) => {
      throw unreadablePicture(field, error);
    });
  assertPictureSize(width, height, field);
}

// The decoder reads many more formats, some of which fetch other files or take far longer: only three get through.
function hasKnownSignature(bytes: Uint8Array): boolean {
  return (
    startsWith(bytes, 0, [0xff, 0xd8, 0xff]) ||
    startsWith(bytes, 0, [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]) ||
    (startsWith(bytes, 0, [0x52, 0x49, 0x46, 0x46]) && startsWith(bytes, 8, [0x57, 0x45, 0x42, 0x50]))
  );
}

function startsWith(bytes: Uint8Array, offset: number, signature: readonly number[]): boolean {
  return signature.every((byte, index) => bytes[offset + index] === byte);
}
