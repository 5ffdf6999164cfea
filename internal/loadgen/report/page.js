'use strict';
// Draws the figures of the page with uPlot: again when the colours change, and
// as wide as their place is.
(() => {
  const plots = JSON.parse(document.getElementById('plots').textContent);
  const section = document.getElementById('charts');

  // The charts, those with something to see: a title, a sentence, labels with
  // units, lines of a name and a value for each x, null where there is none.
  const charts = [];
  const add = c => {
    c.lines = c.lines.filter(l => l.values && l.values.some(v => v !== null));
    if (c.lines.some(l => l.values.some(v => v > 0))) charts.push(c);
  };

  const series = plots.series || {};
  const overTime = (title, yLabel, unit, lines, more) => add({
    title, yLabel, unit, time: true, xLabel: 'time since the start (s)', x: series.seconds,
    lines: Object.entries(lines).map(([name, values]) => ({name, values})), ...more,
  });
  if (series.seconds) {
    const failed = series.failed.map((v, i) => v + series.lost[i]);
    overTime('Connections', 'clients', 'count', {open: series.open, 'failed or lost': failed});
    overTime('Connects', 'clients per second', 'per second', {ready: series.ready_per_second});
    overTime('Deliveries', 'messages per second', 'per second', {delivered: series.delivered_per_second});
    overTime('Delivery latency', 'latency (logarithmic)', 'duration',
      {p50: series.latency_p50_ns, p99: series.latency_p99_ns, max: series.latency_max_ns},
      {log: true, about: 'From the intended send time, of the deliveries of each second.'});
  }
  if (Object.keys(plots.percentiles || {}).length) {
    const lines = Object.entries({delivery: 'delivery, from intended time', delivery_sent: 'delivery, from real send time',
      ready: 'client ready', handshake: 'handshake'}).map(([key, name]) => ({name, values: plots.percentiles[key]})).filter(l => l.values);
    const x = Array.from({length: Math.max(0, ...lines.map(l => l.values.length))}, (_, i) => i / 30);
    add({title: 'Latency by percentile', yLabel: 'latency (logarithmic)', unit: 'duration', log: true, nines: true,
      about: 'Read it as: so many percent of all values were not slower than this. A flat line to the far right is what to hope for.',
      xLabel: 'percentile (each tick ten times rarer)', x,
      lines: lines.map(l => ({name: l.name, values: x.map((_, i) => l.values[i] ?? null)}))});
  }
  if (series.seconds) {
    overTime('Server memory', 'resident memory', 'bytes',
      {all: series.server_rss_bytes, anonymous: series.server_anon_bytes, 'Go heap in use': series.server_heap_in_use_bytes});
    overTime('Kernel memory', 'memory', 'bytes', {slabs: series.kernel_slab_bytes, 'TCP buffers': series.kernel_tcp_memory_bytes},
      {about: 'Of the whole host; over loopback, both ends of each connection.'});
    overTime('CPU', 'CPUs in use', 'CPUs', {server: series.server_cpus, loadgen: series.self_cpus,
      'all programs': series.host_cpu_share.map(v => v > 0 ? v * plots.cpus : null)});
  }

  // The points of a climb with their lines, and the one that was measured
  // further out.
  const fitted = (title, xLabel, yLabel, unit, fit, checked) => {
    if (!fit) return;
    const points = fit.points.map(p => [p.x, p.y]), further = checked ? [[checked.connections, checked.measured_rss_bytes]] : [];
    const x = [...new Set([0, ...points.concat(further).map(p => p[0])])].sort((a, b) => a - b);
    const dots = (name, list) => ({name, dots: true, values: x.map(v => (list.find(p => p[0] === v) || [0, null])[1])});
    const line = x.map(v => fit.base + fit.slope * v).map(y => y < 0 ? null : y); // there is nothing below the axis
    add({title, xLabel, yLabel, unit, x, about: `R2 ${fit.r2.toFixed(4)}, ${points.length} points`,
      lines: [dots('measured', points), {name: 'fitted', values: line}, dots('checked further out', further)]});
  };
  const fits = plots.fits || {};
  fitted('Memory of the gateway', 'connections', 'resident memory', 'bytes', fits.rss, plots.verified);
  fitted('Memory of the kernel, both ends', 'connections', 'grown by', 'bytes', fits.kernel);
  fitted('CPU for heartbeats', 'heartbeat cycles per second', 'CPUs in use', 'CPUs', fits.heartbeat);
  fitted('CPU for deliveries', 'deliveries per second', 'CPUs in use', 'CPUs', fits.delivery);
  if (!charts.length) {
    section.remove();
    return;
  }

  const colour = name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
  const dashes = [[], [7, 3], [2, 3], [9, 3, 2, 3]];
  const scaled = units => v => {
    const [size, name] = units.find(u => Math.abs(v) >= u[0]) || units[units.length - 1];
    return v === 0 ? '0' : `${+(v / size).toPrecision(4)} ${name}`;
  };
  const plain = v => v.toLocaleString('en', {maximumFractionDigits: Math.abs(v) < 10 ? 3 : 1});
  const formats = {
    duration: scaled([[1e9, 's'], [1e6, 'ms'], [1e3, 'us'], [1, 'ns']]),
    bytes: scaled([[2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB'], [1, 'B']]),
  };
  const percent = nines => `${+((1 - 10 ** -nines) * 100).toFixed(Math.max(Math.ceil(nines) - 2, 0) + 1)} %`;
  const powers = Array.from({length: 50}, (_, i) => 2 ** i);

  // bands shades every other phase and writes their names over the plot.
  const bands = u => {
    let from = u.scales.x.min;
    u.ctx.save();
    u.ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    u.ctx.textAlign = 'center';
    plots.phases.forEach((phase, i) => {
      const to = Math.min(Math.max(phase.end, u.scales.x.min), u.scales.x.max);
      const left = u.valToPos(from, 'x', true), right = u.valToPos(to, 'x', true);
      if (i % 2) {
        u.ctx.globalAlpha = 0.3;
        u.ctx.fillStyle = colour('grid');
        u.ctx.fillRect(left, u.bbox.top, right - left, u.bbox.height);
        u.ctx.globalAlpha = 1;
      }
      if (right - left > u.ctx.measureText(phase.name).width + 6) { // or it would lie over the next
        u.ctx.fillStyle = colour('muted');
        u.ctx.fillText(phase.name, (left + right) / 2, u.bbox.top - 6 * devicePixelRatio);
      }
      from = to;
    });
    u.ctx.restore();
  };

  const draw = (place, c) => {
    const format = formats[c.unit] || plain;
    const axis = {stroke: () => colour('muted'), font: '12px system-ui, sans-serif', labelFont: '12px system-ui, sans-serif',
      labelSize: 18, grid: {show: false}, ticks: {stroke: () => colour('muted'), size: 4}};
    const options = {
      width: place.clientWidth, height: 250, padding: [20, c.nines ? 30 : 12, 0, 0],
      scales: {
        x: {time: false, range: c.nines ? (u, min, max) => [0, Math.max(max, 1)] : (u, min, max) => [min, Math.max(max, min + 1)]},
        y: c.log ? {distr: 3} : {range: (u, min, max) => [0, max > 0 ? max * 1.05 : 1]},
      },
      axes: [
        {...axis, label: c.xLabel, size: 34, ...(c.nines && {splits: u => [0, 1, 2, 3, 4, 5].filter(n => n <= u.scales.x.max), values: (u, all) => all.map(percent)})},
        {...axis, label: c.yLabel, grid: {stroke: () => colour('grid'), width: 1}, values: (u, all) => all.map(v => v == null ? '' : format(v)),
          size: (u, all) => 14 + 7 * Math.max(...(all || ['']).map(v => v.length)), ...(c.unit === 'bytes' && {incrs: powers})},
      ],
      series: [
        {label: c.nines ? 'percentile' : c.time ? 'time' : c.xLabel, value: (u, v) => v == null ? '-' : c.nines ? percent(v) : c.time ? `${plain(v)} s` : plain(v)},
        ...c.lines.map((l, i) => ({
          label: l.name, stroke: colour('line' + i % 4), width: 2, dash: dashes[i % 4], value: (u, v) => v == null ? '-' : format(v),
          points: {fill: colour('line' + i % 4), size: l.dots ? 8 : 5, ...(l.dots && {show: true})},
          ...(l.dots && {paths: () => null}),
        })),
      ],
      legend: {markers: {dash: (u, i) => ['solid', 'dashed', 'dotted', 'double'][(i - 1) % 4]}},
      cursor: c.time ? {sync: {key: 'time'}} : {},
      hooks: {drawClear: c.time ? [bands] : []},
    };
    return new uPlot(options, [c.x, ...c.lines.map(l => l.values)], place);
  };

  const element = (name, parent, properties) => parent.appendChild(Object.assign(document.createElement(name), properties));
  const grid = element('div', section, {className: 'charts'});
  const places = charts.map(c => {
    const figure = element('figure', grid, {}), caption = element('figcaption', figure, {});
    element('h3', caption, {textContent: c.title});
    if (c.about) element('p', caption, {className: 'muted', textContent: c.about});
    return element('div', figure, {className: 'plot', role: 'img', ariaLabel: `${c.title}: ${c.lines.map(l => l.name).join(', ')}`});
  });
  let drawn = [];
  const drawAll = () => {
    drawn.forEach(u => u.destroy());
    drawn = places.map((place, i) => draw(place, charts[i]));
  };
  drawAll();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
  const resized = new ResizeObserver(() => drawn.forEach((u, i) => {
    if (u.width !== places[i].clientWidth) u.setSize({width: places[i].clientWidth, height: 250});
  }));
  places.forEach(place => resized.observe(place));
})();
