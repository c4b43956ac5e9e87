/** Gives the blocks of one language of a documentation page, in their order. */
export async function blocksOf(path: string, language: string): Promise<readonly string[]> {
  const text = await Bun.file(path).text();
  const blocks = text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"));
  return Array.from(blocks, (block) => block[1] ?? "");
}
