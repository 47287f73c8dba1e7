// Headless Chromium that talks to nobody but the pages under test.
import { chromium } from "playwright-core";

const options = [
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function launch() {
  const executablePath = process.env.SYNC_HEALTH_CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: options });
}
