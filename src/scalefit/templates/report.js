"use strict";
const root = document.documentElement;

// Light and dark: the reader's system decides, until the button is pressed.
const toggle = document.getElementById("theme");
const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
const label = () => { toggle.textContent = dark() ? "Light" : "Dark"; };
toggle.hidden = false;
toggle.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; label(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
label();

// A figure as PNG: its own copy, with the colours of the theme as they are now, on the page's paper.
function picture(svg, done) {
  const style = getComputedStyle(root), copy = svg.cloneNode(true), box = svg.viewBox.baseVal, scale = 3;
  const colours = ["ink", "muted", "rule", "paper", "blue", "red", "green", "amber"]
    .map((name) => `--${name}: ${style.getPropertyValue(`--${name}`)};`).join(" ");
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", box.width * scale);
  copy.setAttribute("height", box.height * scale);
  copy.setAttribute("style", `${colours} font-family: ${getComputedStyle(svg).fontFamily};`);
  const image = new Image();
  image.onload = () => {
    const canvas = document.createElement("canvas"), pad = 8 * scale;
    canvas.width = box.width * scale + 2 * pad;
    canvas.height = box.height * scale + 2 * pad;
    const context = canvas.getContext("2d");
    context.fillStyle = style.getPropertyValue("--paper");
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, pad, pad);
    canvas.toBlob(done, "image/png");
  };
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(copy));
}

for (const button of document.querySelectorAll("button.png")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const svg = button.closest("figure").querySelector("svg");
    picture(svg, (blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${button.dataset.figure}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  });
}

// Paper has no folds; afterwards they are as the reader had them.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const part of folded) part.open = true;
});
addEventListener("afterprint", () => { for (const part of folded) part.open = false; });
