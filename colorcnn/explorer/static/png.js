// An indexed PNG file with another palette: the same pixels, shown in other colours, without decoding them.

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function checksum(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = TABLE[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

// `colors` holds [red, green, blue] for each index of the file.
export function withPalette(png, colors) {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  let place = 8;
  while (place < png.length) {
    const length = view.getUint32(place);
    if (view.getUint32(place + 4) === 0x504c5445) {
      const chunk = new Uint8Array(4 + 3 * colors.length);
      chunk.set([0x50, 0x4c, 0x54, 0x45]);
      colors.forEach((color, index) => chunk.set(color, 4 + 3 * index));
      const framed = new Uint8Array(chunk.length + 8);
      const frame = new DataView(framed.buffer);
      frame.setUint32(0, chunk.length - 4);
      framed.set(chunk, 4);
      frame.setUint32(chunk.length + 4, checksum(chunk));
      return new Blob([png.subarray(0, place), framed, png.subarray(place + length + 12)], { type: "image/png" });
    }
    place += length + 12;
  }
  return new Blob([png], { type: "image/png" });
}

// Colours that neighbours among the indices are told apart by.
export function indexColors(count) {
  return Array.from({ length: count }, (_, index) => {
    const hue = (index * 137.508 + 210) % 360;
    const light = count < 3 ? 0.35 + 0.4 * index : 0.34 + 0.42 * ((index * 0.618) % 1);
    return fromHsl(hue, 0.55, light);
  });
}

function fromHsl(hue, saturation, light) {
  const reach = saturation * Math.min(light, 1 - light);
  return [0, 8, 4].map((shift) => {
    const step = (shift + hue / 30) % 12;
    return Math.round(255 * (light - reach * Math.max(-1, Math.min(step - 3, 9 - step, 1))));
  });
}

export const luminance = ([red, green, blue]) => 0.299 * red + 0.587 * green + 0.114 * blue;

// All colours as pale greys but one, which is drawn in `accent`.
export function highlightColors(colors, chosen, accent, dark) {
  return colors.map((color, index) => {
    if (index === chosen) return accent;
    const grey = Math.round(dark ? 24 + 0.32 * luminance(color) : 168 + 0.32 * luminance(color));
    return [grey, grey, grey];
  });
}
