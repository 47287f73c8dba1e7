// Opens the HTML of an e-mail in Chromium, as wide as a phone and as a desk, and tells what is seen. For people it also
// leaves a picture where SYNC_HEALTH_TEST_PICTURES names a folder.
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";

import { chromium } from "playwright-core";

const [path] = process.argv.slice(2);
const options = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];
const browser = await chromium.launch({
  executablePath: process.env.SYNC_HEALTH_CHROMIUM ?? "/usr/bin/chromium",
  args: options,
});
const seen = [];
try {
  for (const width of [320, 1200]) {
    const page = await browser.newPage({ viewport: { width, height: 800 } });
    const requests = [];
    page.on("request", (request) => requests.push(request.url()));
    await page.setContent(readFileSync(path, "utf8"));
    const told = await page.evaluate(() => {
      const luminance = (color) => {
        const [r, g, b] = color.match(/[\d.]+/g).map((part) => {
          const c = Number(part) / 255;
          return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const background = (element) => {
        for (let at = element; at; at = at.parentElement) {
          const { backgroundColor } = getComputedStyle(at);
          if (!backgroundColor.endsWith(", 0)")) return backgroundColor;
        }
        return "rgb(255, 255, 255)";
      };
      const texts = [...document.body.querySelectorAll("*")].filter((element) =>
        [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()),
      );
      const contrast = (element) => {
        const [dark, light] = [getComputedStyle(element).color, background(element)]
          .map(luminance)
          .sort((a, b) => a - b);
        return (light + 0.05) / (dark + 0.05);
      };
      return {
        language: document.documentElement.lang,
        title: document.title,
        text: document.body.innerText,
        links: [...document.links].map((link) => link.href),
        scrollsSideways: document.documentElement.scrollWidth > innerWidth,
        cutOff: texts.filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5).length,
        smallestFont: Math.min(...texts.map((element) => parseFloat(getComputedStyle(element).fontSize))),
        worstContrast: Math.min(...texts.map(contrast)),
        markup: document.body.querySelectorAll("script, img, iframe, form, link").length,
      };
    });
    const folder = process.env.SYNC_HEALTH_TEST_PICTURES;
    if (folder) await page.screenshot({ path: join(folder, `${basename(path)}-${width}.png`), fullPage: true });
    seen.push({ width, requests, ...told });
    await page.close();
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
