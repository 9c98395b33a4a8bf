/** Sorts and filters the items; without it they stand in dataset order. */
export const CLIENT_SCRIPT = `
(() => {
  const list = document.getElementById('item-list');
  const tools = document.getElementById('tools');
  if (!list || !tools) return;
  const cards = [...list.children].map((card, place) => ({ card, place, gains: JSON.parse(card.dataset.gains) }));
  const order = document.getElementById('order');
  const state = document.getElementById('state');
  const shown = document.getElementById('shown');
  const apply = () => {
    const [direction, arm] = JSON.parse(order.value);
    const rank = ({ gains, place }) => (arm === null ? place : gains[arm] === undefined ? Infinity : direction * gains[arm]);
    const sorted = [...cards].sort((a, b) => rank(a) - rank(b) || a.place - b.place);
    for (const { card } of sorted) {
      card.hidden = state.value !== '' && card.dataset.state !== state.value;
      list.append(card);
    }
    const visible = cards.filter(({ card }) => !card.hidden).length;
    shown.textContent = visible === cards.length ? visible + ' items' : visible + ' of ' + cards.length + ' items';
  };
  order.addEventListener('change', apply);
  state.addEventListener('change', apply);
  tools.hidden = false;
  apply();
})();
`;
