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
  const started = performance.now();
  const tick = () => {
    for (const element of document.querySelectorAll("[data-left]")) {
      const left = Number(element.dataset.left) - (performance.now() - started) / 1000;
      element.textContent = words(left);
    }
  };
  if (document.querySelector("[data-left]")) setInterval(tick, 1000);

  // A form is sent once.
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (button) setTimeout(() => { button.disabled = true; }, 0);
  });
  addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("button:disabled")) button.disabled = false;
  });

  // One box ticks all.
  for (const all of document.querySelectorAll("[data-ticks]")) {
    all.hidden = false;
    all.addEventListener("change", () => {
      for (const box of document.querySelectorAll(`input[name="${all.dataset.ticks}"]`)) box.checked = all.checked;
    });
  }

  // The part of the menu that is meant shows on a phone.
  document.querySelector(".menu a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
})();
