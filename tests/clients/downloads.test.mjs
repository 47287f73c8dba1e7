// A click on the address of an export in headless Chromium, which accepts every packing: the file that it saves is whole.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

import { launch } from "./browser.mjs";
import { report, run, tokens, tooLong, url } from "./server.mjs";

const field = "Downloaded_By_A_Browser__c";
const order = `mutation ($input: ExportSyncErrorsInput!) {
  exportSyncErrors(input: $input) { downloadUrl fileName userErrors { message } }
}`;

test("a click downloads the whole file", { timeout: 120_000 }, async () => {
  const failures = Array.from({ length: 500 }, (_, contact) => tooLong(field, `download-${contact}`));
  await report(failures);
  const browser = await launch();
  try {
    const page = await browser.newPage();
    for (const format of ["CSV", "NDJSON", "XLSX"]) {
      const input = { format, filter: { fields: [field] } };
      const { exportSyncErrors: ordered } = await run(tokens.read, order, { input });
      assert.deepEqual(ordered.userErrors, []);
      await page.goto(url.replace("/graphql", "/healthz"));
      await page.evaluate((address) => {
        const link = document.createElement("a");
        Object.assign(link, { href: address, textContent: "Download" });
        document.body.append(link);
      }, ordered.downloadUrl);
      const [download] = await Promise.all([page.waitForEvent("download"), page.click("text=Download")]);
      assert.equal(await download.failure(), null);
      assert.equal(download.suggestedFilename(), ordered.fileName);
      const saved = await readFile(await download.path());
      const response = await fetch(ordered.downloadUrl, { headers: { "Accept-Encoding": "identity" } });
      const plain = Buffer.from(await response.arrayBuffer());
      // A workbook says when it was written.
      if (format === "XLSX") assert.equal(saved.subarray(0, 4).toString("latin1"), "PK\u0003\u0004");
      else assert.ok(saved.equals(plain), `${format}: ${saved.length} of ${plain.length} bytes`);
      const lines = saved.toString("utf8").split("\n").length - 1;
      if (format === "CSV") assert.equal(lines, failures.length + 1);
      if (format === "NDJSON") assert.equal(lines, failures.length);
    }
  } finally {
    await browser.close();
  }
});
