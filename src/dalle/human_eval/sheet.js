"use strict";
(() => {
  const content = JSON.parse(document.getElementById("content").textContent);
  const pairs = content.pairs;
  const QUESTIONS = { realism: ["left", "right"], match: ["left", "right", "neither"] };
  const NAMES = Object.keys(QUESTIONS);
  const SPOKEN = { left: "Image 1", right: "Image 2", neither: "Neither" };
  const COLUMNS = ["sheet_id", "rater_id", "pair_id", "question", "choice", "milliseconds", "answered_at"];
  const RATER = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;
  const STORE = `image-pairs/${content.sheet}/${content.edition}`;
  const MAX_IMPORT = 5e6;
  const $ = (id) => document.getElementById(id);

  // votes: pair id -> question -> {choice, milliseconds, answered_at}; seen: pair id -> question -> milliseconds so far
  let state = { rater: "", place: 0, votes: {}, seen: {} };
  let page = "start";
  let active = "realism";
  let exported = true;
  let loaded = false;
  let since = null; // when the active clock started, null while it stands

  const voteOf = (pair, question) => (state.votes[pair.id] || {})[question];
  const answered = (pair) => NAMES.every((question) => voteOf(pair, question));
  const canAnswer = (pair, question) => question === "realism" || Boolean(voteOf(pair, "realism"));
  const numVotes = () => pairs.reduce((sum, pair) => sum + NAMES.filter((name) => voteOf(pair, name)).length, 0);

  /* keeping: in this browser, where it allows that */

  function read() {
    try {
      const kept = JSON.parse(localStorage.getItem(STORE));
      return kept && typeof kept.rater === "string" && kept.votes && kept.seen ? kept : null;
    } catch {
      return null;
    }
  }

  function keep() {
    try {
      localStorage.setItem(STORE, JSON.stringify(state));
      return true;
    } catch {
      warn("This browser does not let the page keep your answers. Leave this tab open until you have exported them.");
      return false;
    }
  }

  function warn(words) {
    $("warning").textContent = words;
    $("warning").hidden = false;
  }

  /* the clock: a question's time runs while it can be answered and is on screen, over all visits to its pair */

  function startClock() {
    if (page === "pair" && !document.hidden && since === null) since = performance.now();
  }

  function stopClock() {
    if (since === null) return;
    const passed = performance.now() - since;
    since = null;
    const pair = pairs[state.place];
    const seen = (state.seen[pair.id] = state.seen[pair.id] || {});
    for (const question of NAMES) {
      if (canAnswer(pair, question)) seen[question] = (seen[question] || 0) + passed;
    }
  }

  /* voting */

  function choose(question, choice) {
    const pair = pairs[state.place];
    if (!canAnswer(pair, question) || !QUESTIONS[question].includes(choice)) return;
    const before = voteOf(pair, question);
    if (!before || before.choice !== choice) {
      stopClock();
      const milliseconds = Math.round((state.seen[pair.id] || {})[question] || 0);
      const vote = { choice, milliseconds, answered_at: new Date().toISOString() };
      state.votes[pair.id] = { ...state.votes[pair.id], [question]: vote };
      changed();
      startClock();
    }
    say(`${$(question + "-words").textContent} ${SPOKEN[choice]}`);
    if (question === "realism") active = "match";
    draw();
  }

  function undo() {
    stopClock();
    let pair = pairs[state.place];
    if (!NAMES.some((name) => voteOf(pair, name)) && state.place > 0) pair = pairs[--state.place];
    const last = voteOf(pair, "match") ? "match" : "realism";
    if (voteOf(pair, last)) {
      delete state.votes[pair.id][last];
      if (!Object.keys(state.votes[pair.id]).length) delete state.votes[pair.id];
      say("Answer taken back");
    }
    active = last;
    changed();
    startClock();
    draw();
  }

  function changed() {
    exported = false;
    keep();
  }

  function say(words) {
    $("spoken").textContent = words;
  }

  /* going from page to page */

  function show(name) {
    stopClock();
    page = name;
    for (const id of ["start", "pair", "overview"]) $(id).hidden = id !== name;
    $("bar").hidden = name === "start";
    $("to-overview").hidden = name === "overview";
    draw();
    window.scrollTo(0, 0);
    if (loaded) document.querySelector(`#${name} h1`).focus({ preventScroll: true });
    startClock();
  }

  function go(place) {
    stopClock();
    state.place = Math.min(Math.max(place, 0), pairs.length - 1);
    const open = NAMES.find((name) => !voteOf(pairs[state.place], name));
    active = open || "realism";
    keep();
    show("pair");
  }

  function next() {
    if (state.place + 1 < pairs.length) go(state.place + 1);
    else show("overview");
  }

  function back() {
    if (page === "overview") go(state.place);
    else if (state.place > 0) go(state.place - 1);
  }

  /* drawing */

  function draw() {
    const done = pairs.filter(answered).length;
    $("progress").value = done;
    const of = `of ${pairs.length}`;
    $("count").textContent = page === "pair" ? `Pair ${state.place + 1} ${of}` : `${done} ${of} pairs answered`;
    if (page === "pair") drawPair(pairs[state.place]);
    if (page === "overview") drawOverview();
    if (page === "start") drawStart();
  }

  function drawPair(pair) {
    $("pair-title").textContent = `Pair ${state.place + 1} of ${pairs.length}`;
    $("caption").textContent = pair.caption;
    for (const side of ["left", "right"]) {
      if ($("image-" + side).src !== pair[side]) $("image-" + side).src = pair[side];
    }
    for (const question of NAMES) {
      const open = canAnswer(pair, question);
      const vote = voteOf(pair, question);
      $(question).classList.toggle("active", question === active && open);
      $(question).classList.toggle("locked", !open);
      for (const button of $(question).querySelectorAll("button")) {
        button.disabled = !open;
        button.setAttribute("aria-pressed", String(Boolean(vote) && vote.choice === button.dataset.choice));
      }
    }
    $("back").disabled = state.place === 0;
    $("undo").disabled = state.place === 0 && !NAMES.some((name) => voteOf(pair, name));
    $("next").classList.toggle("waiting", !answered(pair));
    const last = state.place + 1 === pairs.length;
    $("next-words").textContent = last ? "Finish" : answered(pair) ? "Next" : "Skip";
  }

  function drawOverview() {
    const open = pairs.map((pair, place) => ({ pair, place })).filter(({ pair }) => !answered(pair));
    const missing = 2 * pairs.length - numVotes();
    $("overview-title").textContent = open.length ? "Not complete yet" : "Complete. Now export";
    $("overview-words").textContent = open.length
      ? `${missing} ${missing === 1 ? "answer is" : "answers are"} missing, in ${open.length} of ${pairs.length} pairs. ` +
        "You may also export what there is and go on later."
      : `All ${pairs.length} pairs are answered. Thank you! Export your answers and send the file to whoever gave you ` +
        "this sheet.";
    $("missing").hidden = !open.length;
    $("missing-pairs").replaceChildren(...open.map(({ place }) => pairButton(place)));
    $("export").disabled = !numVotes();
  }

  function pairButton(place) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = String(place + 1);
    button.setAttribute("aria-label", `Pair ${place + 1}`);
    button.addEventListener("click", () => go(place));
    return button;
  }

  function drawStart() {
    const votes = numVotes();
    $("begin").textContent = votes ? "Go on" : "Start";
    $("kept").hidden = !votes;
    $("kept").textContent = `${votes} of ${2 * pairs.length} answers by ${state.rater} are kept in this browser. ` +
      "Another person needs another sheet.";
    $("rater").readOnly = Boolean(votes);
    if (state.rater) $("rater").value = state.rater;
  }

  function begin() {
    const name = $("rater").value.trim();
    if (!RATER.test(name)) {
      $("rater-problem").textContent = name
        ? "Please use only letters, digits and - _ . @, beginning with a letter or digit."
        : "Please enter your name or number first.";
      $("rater").setAttribute("aria-invalid", "true");
      $("rater").focus();
      return;
    }
    $("rater-problem").textContent = "";
    $("rater").removeAttribute("aria-invalid");
    state.rater = name;
    keep();
    const open = pairs.findIndex((pair) => !answered(pair));
    if (open < 0) show("overview");
    else go(answered(pairs[state.place]) ? open : state.place);
  }

  /* votes as CSV, out and in */

  function csv() {
    const rows = [COLUMNS];
    for (const pair of pairs) {
      for (const question of NAMES) {
        const vote = voteOf(pair, question);
        if (vote) rows.push([content.sheet, state.rater, pair.id, question, vote.choice, vote.milliseconds, vote.answered_at]);
      }
    }
    return rows.map((row) => row.join(",")).join("\n") + "\n";
  }

  function save() {
    const name = `votes-${content.sheet}-${state.rater}.csv`;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    exported = true;
    $("export-result").textContent = `${name} is in your downloads: ${numVotes()} answers.`;
  }

  function parse(text) {
    const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/).filter((line) => line.trim());
    const rows = lines.map((line) => line.split(",").map((cell) => cell.trim().replace(/^"(.*)"$/, "$1")));
    if (!rows.length || rows[0].join() !== COLUMNS.join()) throw new Error(`its first line is not ${COLUMNS.join()}`);
    return rows.slice(1).map((row, index) => checked(row, index + 2));
  }

  function checked(row, number) {
    const [sheet, rater, pair, question, choice, milliseconds, answered_at] = row;
    const fail = (rule) => {
      throw new Error(`line ${number} ${rule}`);
    };
    if (row.length !== COLUMNS.length) fail(`has ${row.length} values instead of ${COLUMNS.length}`);
    if (sheet !== content.sheet) fail(`is of sheet ${sheet}, this is ${content.sheet}`);
    if (!RATER.test(rater)) fail("has no valid rater_id");
    if (!pairs.some(({ id }) => id === pair)) fail(`names pair ${pair}, which is not on this edition of the sheet`);
    if (!Object.hasOwn(QUESTIONS, question)) fail(`asks ${question}`);
    if (!QUESTIONS[question].includes(choice)) fail(`answers ${choice}`);
    if (!/^\d{1,12}$/.test(milliseconds)) fail("has no whole number of milliseconds");
    if (!/^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(answered_at) || Number.isNaN(Date.parse(answered_at))) fail("has no valid time");
    return { rater, pair, question, vote: { choice, milliseconds: Number(milliseconds), answered_at } };
  }

  async function bring(file) {
    let rows;
    try {
      if (file.size > MAX_IMPORT) throw new Error("it is too large");
      rows = parse(await file.text());
      if (!rows.length) throw new Error("it holds no answers");
      const raters = new Set(rows.map((row) => row.rater));
      if (numVotes()) raters.add(state.rater);
      if (raters.size > 1) throw new Error(`it mixes answers of ${[...raters].join(" and ")}`);
    } catch (error) {
      $("import-result").textContent = `${file.name} was not taken: ${error.message}.`;
      return;
    }
    let taken = 0;
    for (const { rater, pair, question, vote } of rows) {
      const own = (state.votes[pair] || {})[question];
      if (own && own.answered_at >= vote.answered_at) continue;
      state.rater = rater;
      state.votes[pair] = { ...state.votes[pair], [question]: vote };
      const seen = (state.seen[pair] = state.seen[pair] || {});
      seen[question] = Math.max(seen[question] || 0, vote.milliseconds);
      taken += 1;
    }
    if (taken) changed();
    draw();
    $("import-result").textContent = `${taken} of ${rows.length} answers were taken over from ${file.name}.`;
  }

  /* what the keys and buttons do */

  function pressed(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.repeat) return;
    const keys = { start: {}, pair: pairKeys(), overview: { ArrowLeft: back, e: save } }[page];
    const onButton = event.target.closest("button, input, summary") && (event.key === "Enter" || event.key === " ");
    const action = onButton ? undefined : keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  function pairKeys() {
    return {
      1: () => choose(active, "left"),
      2: () => choose(active, "right"),
      0: () => choose(active, "neither"),
      ArrowRight: next,
      Enter: next,
      ArrowLeft: back,
      Backspace: undo,
      s: () => show("overview"),
      ArrowUp: () => turn("realism"),
      ArrowDown: () => turn("match"),
    };
  }

  function turn(question) {
    if (canAnswer(pairs[state.place], question)) active = question;
    draw();
  }

  function connect() {
    document.addEventListener("keydown", pressed);
    document.addEventListener("visibilitychange", () => (document.hidden ? stopClock() : startClock()));
    addEventListener("storage", (event) => {
      if (event.key === STORE) warn("This sheet is open in another tab as well. Close one of the two and reload the other.");
    });
    addEventListener("pagehide", () => {
      stopClock();
      if (state.rater) keep();
    });
    addEventListener("beforeunload", (event) => {
      if (!exported && !keep()) event.preventDefault();
    });
    for (const question of NAMES) {
      for (const button of $(question).querySelectorAll("button")) {
        button.addEventListener("click", () => choose(question, button.dataset.choice));
      }
    }
    const clicks = { back, undo, next, export: save, "to-pairs": back };
    for (const [id, action] of Object.entries(clicks)) $(id).addEventListener("click", action);
    for (const name of ["start", "overview"]) $("to-" + name).addEventListener("click", () => show(name));
    $("enter").addEventListener("submit", (event) => {
      event.preventDefault();
      begin();
    });
    $("import").addEventListener("change", (event) => {
      if (event.target.files.length) bring(event.target.files[0]);
      event.target.value = "";
    });
  }

  connect();
  state = { ...state, ...read() };
  state.place = Math.min(Math.max(Number(state.place) || 0, 0), pairs.length - 1);
  keep();
  show("start");
  loaded = true; // from here on the focus follows the page
})();
