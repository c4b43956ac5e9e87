/** The documented request: a picture for the service mmocr, as clients of the predecessor send it. */
export function demoRequest(picture: Uint8Array, encoding: string): object {
  return {
    header: {
      app_id: "123456",
      uid: "39769795890",
      did: "SR082321940000200",
      imei: "8664020318693660",
      imsi: "4600264952729100",
      mac: "6c:92:bf:65:c6:14",
      net_type: "wifi",
      net_isp: "CMCC",
      status: 3,
      request_id: null,
    },
    parameter: {
      mmocr: {
        category: "ai_category",
        application_mode: "common_gpu",
        gpu_id: "first",
        gpu_type: "T4G16",
        boxes: { encoding: "utf8", compress: "raw", format: "json" },
      },
    },
    payload: { data: { encoding, image: picture.toBase64(), status: 3 } },
  };
}
