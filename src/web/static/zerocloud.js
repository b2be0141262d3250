// Makes pages live where script runs; every page works without it.
"use strict";
(() => {
  // Time left, second by second.
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const words = (seconds) => {
    const parts = [];
    let rest = Math.max(0, Math.round(seconds));
    for (const [size, unit] of units) {
      const count = Math.floor(rest / size);
      if (count > 0 && parts.length < 2) parts.push(`${count} ${unit}`);
      else if (parts.length > 0) break;
      rest -= count * size;
    }
    return parts.join(" ") || "0 s";
  };
  let started = performance.now();
  const tick = () => {
    for (const element of document.querySelectorAll("[data-left]")) {
      const left = Number(element.dataset.left) - (performance.now() - started) / 1000;
      element.textContent = words(left);
    }
  };
  setInterval(tick, 1000);

  // What changes shows without loading the page again, unless somebody is in the middle of something.
  const main = document.querySelector("main[data-live]");
  if (main && "EventSource" in window) {
    // What was typed and not sent yet stays; a choice is made again in the new page.
    const typed = () => [...main.querySelectorAll("input:not([type=checkbox], [type=radio], [type=hidden]), textarea")]
      .some((field) => field.value !== field.defaultValue);
    const busy = () => main.contains(document.activeElement) && document.activeElement !== main
      || main.querySelector("details[open], input[type=checkbox]:checked") || typed();
    const place = (select) => `${select.form?.getAttribute("action")} ${select.name}`;
    const usual = (select) => Math.max(0, [...select.options].findIndex((option) => option.defaultSelected));
    const choices = () => {
      const chosen = [...main.querySelectorAll("select")].filter((select) => select.selectedIndex !== usual(select));
      const last = (select) => select.selectedIndex === select.options.length - 1;
      return new Map(chosen.map((select) => [place(select), { value: select.value, last: last(select) }]));
    };
    const choose = (made) => {
      for (const select of main.querySelectorAll("select")) {
        const choice = made.get(place(select));
        if (!choice) continue;
        const same = [...select.options].findIndex((option) => option.value === choice.value);
        // "The most" is another number of seconds each time.
        if (same >= 0) select.selectedIndex = same;
        else if (choice.last) select.selectedIndex = select.options.length - 1;
      }
    };
    let planned = 0;
    const refresh = async () => {
      planned = 0;
      if (busy()) return plan(3000);
      const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
      if (!answer?.ok || answer.redirected || busy()) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector("main");
      if (!fresh) return;
      // What was said of it counts as long as it stands as it did.
      const same = fresh.querySelector("h1")?.textContent === main.querySelector("h1")?.textContent;
      const said = same && main.querySelector(".said");
      started = performance.now();
      const made = choices();
      main.replaceChildren(...(said ? [said] : []), ...fresh.childNodes);
      choose(made);
      ready(main);
    };
    const plan = (wait) => { planned ||= setTimeout(refresh, wait); };
    const events = new EventSource(`/api/v1/events?types=${main.dataset.live}`);
    for (const kind of main.dataset.live.split(",")) events.addEventListener(kind, () => plan(400));
    addEventListener("pagehide", () => events.close());
  }

  // What is to be pasted elsewhere is copied with one press.
  if (navigator.clipboard) {
    for (const box of document.querySelectorAll(".copy")) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(box.querySelector("pre, code").textContent);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 2000);
      });
      box.append(button);
    }
  }

  // A form is sent once.
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (button) setTimeout(() => { button.disabled = true; }, 0);
  });
  addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("button:disabled")) button.disabled = false;
  });

  // One box ticks all.
  function ready(part) {
    for (const all of part.querySelectorAll("[data-ticks]")) {
      all.hidden = false;
      all.addEventListener("change", () => {
        for (const box of document.querySelectorAll(`input[name="${all.dataset.ticks}"]`)) box.checked = all.checked;
      });
    }
  }
  ready(document);

  // The part of the menu that is meant shows on a phone.
  document.querySelector(".menu a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
})();
