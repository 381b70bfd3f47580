// Draws the chart of an alert: registers and rates around the evidence, or the error against its limits.
"use strict";

(() => {
  const place = document.getElementById("chart");
  if (!place) return;
  place.replaceChildren(); // the note for readers without JavaScript
  const text = place.dataset;
  const zone = text.timeZone;
  const ink = "#5b6b72", grid = "#e9eef0", line = "#0f5f75", alarm = "#a8281f", amber = "#c98a12";

  const parts = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" });
  const clock = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, hour: "2-digit", minute: "2-digit" });
  const full = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short" });
  const date = (seconds) => new Date(seconds * 1000);
  const dayOf = (seconds) => full.format(date(seconds)).slice(5);

  function timeLabels(self, splits, axis, space, step) {
    let before = "";
    return splits.map((seconds) => {
      if (step >= 86400 * 25) return full.format(date(seconds));
      const today = dayOf(seconds);
      if (step >= 86400) return today;
      const label = today === before ? clock.format(date(seconds)) : clock.format(date(seconds)) + "\n" + today;
      before = today;
      return label;
    });
  }

  const tidy = (value, digits) => (value === null || value === undefined ? "–"
    : value.toLocaleString("en", { maximumFractionDigits: digits }).replace("-", "−"));

  function axes(label, digits) {
    const common = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui, sans-serif" };
    return [
      { ...common, values: timeLabels, space: 78, size: 46 },
      { ...common, label, labelFont: "12px system-ui, sans-serif", labelSize: 20, size: 76, values: (u, splits) => splits.map((v) => tidy(v, digits)) },
    ];
  }

  const timeSeries = { label: text.time, value: (u, v) => (v === null ? "–" : parts.format(date(v))) };

  // The finding's own span lies behind the lines as a tinted band.
  function band(from, to) {
    return (u) => {
      const left = u.valToPos(from, "x", true), right = u.valToPos(to, "x", true);
      const clampedLeft = Math.max(left, u.bbox.left), clampedRight = Math.min(Math.max(right, left + 2), u.bbox.left + u.bbox.width);
      if (clampedRight <= clampedLeft) return;
      u.ctx.save();
      u.ctx.fillStyle = "rgba(242, 184, 75, 0.20)";
      u.ctx.fillRect(clampedLeft, u.bbox.top, clampedRight - clampedLeft, u.bbox.height);
      u.ctx.restore();
    };
  }

  const drawn = [];
  function draw(options, data) {
    const box = document.createElement("div");
    box.className = "plot";
    place.append(box);
    const plot = new uPlot({ width: place.clientWidth, tzDate: (ts) => uPlot.tzDate(date(ts), zone), ...options }, data, box);
    drawn.push([plot, options.height]);
  }

  function caption(words) {
    const p = document.createElement("p");
    p.className = "caption";
    p.textContent = words;
    place.append(p);
  }

  // uPlot wants one time axis: evidence is merged into the readings' times, the first value of a time wins in the line.
  function drawRegister(chart) {
    const evidence = chart.evidence.filter((point) => point.register_value !== null);
    const register = new Map(chart.at_s.map((at, i) => [at, chart.register_values[i]]));
    const rate = new Map(chart.at_s.map((at, i) => [at, chart.rates[i]]));
    const [first, second] = [new Map(), new Map()];
    for (const point of evidence) {
      (first.has(point.at_s) ? second : first).set(point.at_s, point.register_value);
    }
    const times = [...new Set([...chart.at_s, ...first.keys()])].sort((a, b) => a - b);
    const pick = (map) => times.map((at) => (map.has(at) ? map.get(at) : undefined));
    const cursor = { sync: { key: "alert" }, drag: { x: true, y: false } };
    const shade = { drawClear: [band(chart.concerned_s[0], chart.concerned_s[1])] };
    const unit = chart.unit === "m3" ? "m³" : chart.unit, rateUnit = chart.rate_unit.replace("m3", "m³");
    const exact = (u, v) => (v === null || v === undefined ? "–" : tidy(v, 6) + " " + unit);
    const marks = { stroke: alarm, width: 0, paths: () => null, points: { show: true, size: 9, fill: "#fff", stroke: alarm, width: 2 }, value: exact };
    const series = [
      timeSeries,
      { label: text.register, stroke: line, width: 1.8, spanGaps: true, points: { show: times.length < 120, size: 4, fill: line }, value: exact },
      { label: text.evidence, ...marks },
    ];
    const data = [times, pick(register), pick(first)];
    if (second.size) { series.push({ label: text.evidence + " 2", ...marks, points: { ...marks.points, stroke: amber } }); data.push(pick(second)); }
    draw({ height: 290, cursor, hooks: shade, series, axes: axes(text.register + " [" + unit + "]", 3) }, data);
    draw({
      height: 200, cursor, hooks: shade,
      series: [timeSeries, {
        label: text.rate, stroke: line, fill: "rgba(15, 95, 117, 0.10)", width: 1.5, spanGaps: true, points: { show: false },
        paths: uPlot.paths.stepped({ align: -1 }), value: (u, v) => (v === null || v === undefined ? "–" : tidy(v, 3) + " " + rateUnit),
      }],
      axes: axes(text.rate + " [" + rateUnit + "]", 3),
    }, [times, pick(rate)]);
    if (chart.thinned) caption(text.thinned);
  }

  function drawError(chart) {
    const percent = (u, v) => (v === null || v === undefined ? "–" : v.toFixed(2).replace("-", "−") + " %");
    const limit = { label: text.limits, stroke: alarm, width: 1.5, dash: [7, 5], points: { show: false }, value: percent };
    // A wide interval early on must not flatten what matters: the error against its limits.
    const sizes = (values) => values.filter((v) => v !== null).map(Math.abs);
    const close = Math.max(...sizes(chart.mpe_pct), ...sizes(chart.error_pct));
    const reach = Math.min(Math.max(close, ...sizes(chart.lower_pct), ...sizes(chart.upper_pct)), 2 * close) * 1.1;
    const only = (outcome, wanted) => chart.error_pct.map((v, i) => ((chart.outcomes[i] === outcome) === wanted ? v : null));
    const dots = { width: 0, paths: () => null, value: percent };
    const edge = { stroke: "rgba(15, 95, 117, 0.35)", width: 1, points: { show: false }, value: percent };
    draw({
      height: 340,
      series: [
        timeSeries,
        { ...edge, label: text.interval + " +" },
        { ...edge, label: text.interval + " −" },
        { label: text.estimate, stroke: line, width: 2, points: { show: false }, value: percent },
        { label: text.withheld, ...dots, points: { show: true, size: 7, width: 1.5, fill: "#fff", stroke: "#8b999f" } },
        { label: text.estimate, ...dots, class: "u-silent", points: { show: chart.at_s.length < 150, size: 6, fill: line, stroke: line } },
        { ...limit, label: text.limits + " +" },
        { ...limit, label: text.limits + " −" },
      ],
      bands: [{ series: [1, 2], fill: "rgba(15, 95, 117, 0.13)" }],
      scales: { y: { range: [-reach, reach] } },
      axes: axes(text.estimate + " [%]", 2),
    }, [chart.at_s, chart.upper_pct, chart.lower_pct, chart.error_pct, only("withheld", true), only("withheld", false), chart.mpe_pct, chart.mpe_pct.map((v) => (v === null ? null : -v))]);
  }

  fetch(text.source, { headers: { Accept: "application/json" } })
    .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(String(answer.status)))))
    .then((chart) => {
      if (chart.type === "register") drawRegister(chart);
      else if (chart.type === "error") drawError(chart);
      else caption(text.none);
    })
    .catch(() => caption(text.failed));

  let waiting = 0;
  window.addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => drawn.forEach(([plot, height]) => plot.setSize({ width: place.clientWidth, height })));
  });
})();
