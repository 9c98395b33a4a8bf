/**
 * The page's own script: orders, filters and finds items, compares two pictures, and answers to keys. Without it the page shows everything
 * in dataset order.
 */
export const CLIENT_SCRIPT = `
(() => {
  const list = document.getElementById('item-list');
  if (!list) return;
  const byId = (id) => document.getElementById(id);
  const [order, state, find, shown, dialog] = ['order', 'state', 'find', 'shown', 'comparison'].map(byId);
  const entries = [...list.children].map((element, place) => ({
    element, place, gains: JSON.parse(element.dataset.gains), text: element.textContent.toLowerCase(),
  }));
  let visible = entries;

  const apply = () => {
    const [direction, arm] = JSON.parse(order.value);
    const words = find.value.toLowerCase().split(/\\s+/).filter(Boolean);
    const rank = ({ gains, place }) => (arm === null ? place : gains[arm] === undefined ? Infinity : direction * gains[arm]);
    const sorted = [...entries].sort((a, b) => rank(a) - rank(b) || a.place - b.place);
    for (const { element, text } of sorted) {
      element.hidden = (state.value !== '' && element.dataset.state !== state.value) || !words.every((word) => text.includes(word));
    }
    list.append(...sorted.map(({ element }) => element));
    visible = sorted.filter(({ element }) => !element.hidden);
    shown.textContent = visible.length === entries.length ? entries.length + ' items' : visible.length + ' of ' + entries.length + ' items';
  };
  for (const control of [order, state]) control.addEventListener('change', apply);
  find.addEventListener('input', apply);
  byId('tools').hidden = false;
  apply();

  let current = location.hash ? byId(location.hash.slice(1)) : null;
  if (current && !list.contains(current)) current = null;
  window.addEventListener('hashchange', () => {
    const target = byId(location.hash.slice(1));
    if (list.contains(target)) current = target;
  });
  const goTo = (element) => {
    current = element;
    element.tabIndex = -1;
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: 'start' });
  };
  const step = (by) => {
    const at = visible.findIndex(({ element }) => element === current);
    const next = visible[Math.min(visible.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
    if (next) goTo(next.element);
    return next && next.element;
  };

  // Comparison of two pictures of one item.
  let shots = [];
  let front = 1;
  const [left, right, overlay, flip, pair] = ['left', 'right', 'overlay', 'flip', 'pair'].map(byId);
  const draw = () => {
    const chosen = [left, right].map((select) => shots[Number(select.value)]);
    pair.classList.toggle('over', overlay.checked);
    flip.hidden = !overlay.checked;
    pair.replaceChildren(...chosen.map(({ label, figure }, side) => {
      const copy = document.createElement('figure');
      const image = figure.querySelector('img, .missing').cloneNode(true);
      const caption = figure.querySelector('figcaption').cloneNode(true);
      for (const part of caption.querySelectorAll('details, .shot-title')) part.remove();
      const title = document.createElement('strong');
      title.textContent = label;
      caption.prepend(title);
      copy.append(image, caption);
      copy.hidden = overlay.checked && side !== front;
      return copy;
    }));
  };
  const open = (card, picture) => {
    current = card;
    byId('comparison-title').textContent = card.querySelector('h3').textContent;
    shots = [...card.querySelectorAll('figure[data-shot]')].map((figure) => ({ figure, label: figure.dataset.shot }));
    if (shots.length === 0) return;
    const choices = () => shots.map(({ label }, i) => {
      const option = document.createElement('option');
      option.value = i;
      option.textContent = label;
      return option;
    });
    const kept = dialog.open && right.options.length === shots.length ? [left.value, right.value] : null;
    left.replaceChildren(...choices());
    right.replaceChildren(...choices());
    [left.value, right.value] = kept || [0, picture || shots.length - 1];
    front = 1;
    draw();
    if (!dialog.open) dialog.showModal();
  };
  if (dialog) {
    for (const button of list.querySelectorAll('.compare')) button.hidden = false;
    list.addEventListener('click', (event) => {
      const card = event.target.closest('.item');
      const figure = event.target.closest('figure[data-shot]');
      if (event.target.closest('.compare')) open(card);
      else if (event.target.tagName === 'IMG' && figure) open(card, [...card.querySelectorAll('figure[data-shot]')].indexOf(figure));
    });
    for (const control of [left, right, overlay]) control.addEventListener('change', draw);
    const turn = () => { front = 1 - front; draw(); };
    flip.addEventListener('click', turn);
    pair.addEventListener('click', () => overlay.checked && turn());
    byId('close').addEventListener('click', () => dialog.close());
    dialog.addEventListener('keydown', (event) => {
      if (event.target.tagName === 'SELECT') return;
      const along = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (along) {
        right.value = (Number(right.value) + along + shots.length) % shots.length;
        draw();
      } else if (event.key === 'f' && overlay.checked) turn();
      else if (event.key === 'o') {
        overlay.checked = !overlay.checked;
        draw();
      }
    });
  }

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.key === 'j' || event.key === 'k') {
      const card = step(event.key === 'j' ? 1 : -1);
      if (dialog && dialog.open && card) open(card);
    } else if (event.key === 'c' && dialog && !dialog.open) {
      const card = current || (visible[0] && visible[0].element);
      if (card) open(card);
    } else if (event.key === 'Enter' && current && current === event.target && current.querySelector('a')) current.querySelector('a').click();
    else if (event.key === '/' && !(dialog && dialog.open)) {
      event.preventDefault();
      find.focus();
    }
  });
})();
`;
