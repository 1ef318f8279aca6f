// Renews the live page: asks for the state, and where it differs takes the page
// anew from the server, which has escaped everything in it.
"use strict";
(() => {
  const PERIOD = 2000;
  const note = document.getElementById("connection");
  let last = null;
  const renew = async () => {
    try {
      const state = await (await fetch("/state.json")).text();
      if (last !== null && state !== last) {
        const text = await (await fetch("/")).text();
        const fresh = new DOMParser().parseFromString(text, "text/html");
        const live = fresh.getElementById("live");
        // The report has taken its place.
        if (!live) return location.reload();
        document.getElementById("live").replaceWith(document.adoptNode(live));
        document.title = fresh.title;
      }
      last = state;
      note.textContent = "";
    } catch {
      note.textContent = "The server does not answer; this is what it showed last.";
    }
    setTimeout(renew, PERIOD);
  };
  setTimeout(renew, PERIOD);
})();
