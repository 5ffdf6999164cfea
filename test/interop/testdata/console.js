// Uses the console as an operator would; see console_test.go. Arguments: the path
// of Chromium, the console's address.
const { chromium } = require("playwright-core");

const [executablePath, address] = process.argv.slice(2);

(async () => {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"] });
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  const complaints = [];
  page.on("pageerror", e => complaints.push(String(e)));
  await page.goto(address);
  const state = page.locator("#state");
  // What it says first of all, and where that ends.
  const states = [];
  let last;
  for (const end = Date.now() + 60_000; Date.now() < end; await page.waitForTimeout(20)) {
    const now = `${await state.getAttribute("data-state")}: ${await state.textContent()}`;
    if (now !== last) states.push(last = now);
    if (/^(open|failed)/.test(now)) break;
  }
  await page.fill("#target", "news");
  await page.fill("#data", '{"text":"hello"}');
  await page.click("#send");
  const published = await page.locator("#entries li", { hasText: "published" }).first().waitFor({ timeout: 60_000 }).then(() => true, () => false);
  const received = last.startsWith("open") &&
    await page.locator("#entries li.message", { hasText: "hello" }).first().waitFor({ timeout: 60_000 }).then(() => true, () => false);
  console.log(JSON.stringify({ states, published, received, complaints }));
  await browser.close();
})().catch(e => {
  console.error(e);
  process.exit(1);
});
