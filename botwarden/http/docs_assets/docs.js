// Sends the forms of the documentation page as requests and shows the answers, live streams included.
"use strict";

function cookie(name) {
  const entry = document.cookie.split("; ").find((row) => row.startsWith(name + "="));
  return entry ? decodeURIComponent(entry.slice(name.length + 1)) : "";
}

function request(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  const headers = { Accept: "application/json, text/event-stream, text/plain, text/csv" };
  for (const input of form.querySelectorAll("input")) {
    if (input.dataset.in === "path") {
      path = path.replace("{" + input.name + "}", encodeURIComponent(input.value));
    } else if (input.value !== "") {
      if (input.dataset.in === "query") query.append(input.name, input.value);
      else headers[input.name] = input.value;
    }
  }
  const token = document.getElementById("token").value;
  if (token) headers.Authorization = "Bearer " + token;
  const options = { method: form.dataset.method, headers, credentials: "same-origin" };
  if (options.method !== "GET") headers["x-csrftoken"] = cookie("csrftoken");
  const body = form.querySelector("textarea");
  if (body) {
    headers["Content-Type"] = "application/json";
    options.body = body.value;
  }
  return [query.size ? path + "?" + query : path, options];
}

async function show(response, output) {
  output.textContent = response.status + " " + response.statusText + "\n\n";
  if (!(response.headers.get("content-type") || "").startsWith("text/event-stream")) {
    // As it came: numbers keep all their digits.
    output.textContent += await response.text();
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    output.textContent = (output.textContent + part.value).slice(-20000);
    output.scrollTop = output.scrollHeight;
  }
}

for (const form of document.querySelectorAll("form")) {
  let running = null;
  const button = form.querySelector("button");
  const output = form.querySelector("pre");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running) {
      running.abort();
      return;
    }
    running = new AbortController();
    button.textContent = "Stop";
    output.hidden = false;
    output.textContent = "";
    try {
      const [path, options] = request(form);
      await show(await fetch(path, { ...options, signal: running.signal }), output);
    } catch (error) {
      output.textContent += "\n" + error;
    } finally {
      running = null;
      button.textContent = "Try it";
    }
  });
}
