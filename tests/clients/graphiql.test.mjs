// GraphiQL in headless Chromium: what it shows runs, and without a good token it says what to do.
import test from "node:test";

import { launch } from "./browser.mjs";
import { report, tokens, tooLong, url } from "./server.mjs";

const field = "Shown_In_GraphiQL__c";
const address = url.replace("/graphql", "/graphiql");

/** Opens the page in a browser of its own. */
async function open(t, fragment) {
  const browser = await launch();
  t.after(() => browser.close());
  const page = await browser.newPage();
  await page.goto(`${address}${fragment}`);
  return {
    page,
    /** Waits until the pane of answers shows a text. */
    shows: (text, options) => page.locator(".result-window", { hasText: text }).waitFor(options),
    run: () => page.locator(".graphiql-execute-button").click(),
    tab: (name) => page.locator(".graphiql-tab-button", { hasText: name }).click(),
  };
}

test("the shown query and the shown subscription run", { timeout: 120_000 }, async (t) => {
  const { page, shows, run, tab } = await open(t, `#token=${tokens.read}`);
  await report([tooLong(field, "graphiql-first")]);
  await run();
  await shows('"hubId": "1001"');
  await tab("WhatHappens");
  await run();
  // The pane shows its spaces as ones that do not break.
  await shows(/It\sis\sopen|syncErrorEvents/);
  // The tests that run beside this one make events too, and the last one is shown: reported until it is seen.
  for (let contact = 0; ; contact++) {
    await report([tooLong(field, `graphiql-${contact}`)]);
    const seen = await shows(field, { timeout: 2_000 }).then(() => true, () => false);
    if (seen) break;
  }
  // The same button stops it.
  const button = (name) => page.locator(`.graphiql-execute-button[aria-label^=${name}]`);
  await button("Stop").click();
  await button("Execute").waitFor();
});

test("without a token it says where to put one, and goes on with it", { timeout: 120_000 }, async (t) => {
  const { page, shows, run } = await open(t, "");
  await shows("There is no token yet.");
  await shows("sync-health token --portal 1001");
  await run();
  await shows("There is no token yet.");
  const headers = page.locator(".graphiql-editor-tool .CodeMirror:visible");
  await headers.click();
  await page.keyboard.press("Control+a");
  await page.keyboard.insertText(JSON.stringify({ Authorization: `Bearer ${tokens.read}` }));
  const isSchema = (response) =>
    response.status() === 200 && response.request().postData()?.includes("IntrospectionQuery");
  const schema = page.waitForResponse(isSchema);
  await run();
  await shows('"hubId": "1001"');
  await schema;
});

test("a token that is refused is told so", { timeout: 120_000 }, async (t) => {
  const { shows, run } = await open(t, "#token=forged");
  await shows("The server refuses the token.");
  await run();
  await shows('"UNAUTHENTICATED"');
});
