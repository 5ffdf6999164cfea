'use strict';
// Draws the charts of the page with uPlot: again when the colours change, and
// as wide as their place is.
(() => {
  const charts = JSON.parse(document.getElementById('charts').textContent) || [];
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
    CPUs: v => plain(v),
  };
  const percent = nines => `${+((1 - 10 ** -nines) * 100).toFixed(Math.max(Math.ceil(nines) - 2, 0) + 1)} %`;
  const powers = Array.from({length: 50}, (_, i) => 2 ** i);

  // bands shades every other phase and writes their names over the plot.
  const bands = list => u => {
    let from = u.scales.x.min;
    u.ctx.save();
    u.ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    u.ctx.textAlign = 'center';
    list.forEach((b, i) => {
      const to = Math.min(Math.max(b.to, u.scales.x.min), u.scales.x.max);
      const left = u.valToPos(from, 'x', true), right = u.valToPos(to, 'x', true);
      if (i % 2) {
        u.ctx.globalAlpha = 0.3;
        u.ctx.fillStyle = colour('grid');
        u.ctx.fillRect(left, u.bbox.top, right - left, u.bbox.height);
        u.ctx.globalAlpha = 1;
      }
      if (right - left > u.ctx.measureText(b.name).width + 6) { // or it would lie over the next
        u.ctx.fillStyle = colour('muted');
        u.ctx.fillText(b.name, (left + right) / 2, u.bbox.top - 6 * devicePixelRatio);
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
        x: {time: false, range: c.nines ? (u, min, max) => [0, Math.max(max, 1)] : (u, min, max) => [c.time ? min : 0, Math.max(max, min + 1)]},
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
      hooks: {drawClear: [bands(c.bands || [])]},
    };
    return new uPlot(options, [c.x, ...c.lines.map(l => c.x.map((_, i) => l.values[i] ?? null))], place);
  };

  const places = [...document.querySelectorAll('.plot')];
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
