/** Code that runs in the page, as text: the project is type-checked without a browser's globals. */

/** Every picture once it is decoded, lazy ones too. */
export const DECODED_PICTURES = `(async () => {
  const images = [...document.images];
  for (const image of images) image.loading = 'eager';
  await Promise.all(images.map((image) => image.decode()));
  return images.map((image) => ({ width: image.naturalWidth, alt: image.alt }));
})()`;

/** Pixels by which the page is wider than the window. */
export const SIDEWAYS_OVERFLOW = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';

export const ARM_TABLE_OVERFLOW = `(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('.scroll'))`;

export const setDetails = (open: boolean): string => `document.querySelectorAll('details').forEach((d) => { d.open = ${open}; })`;

export const scrollTo = (id: string): string => `document.getElementById('${id}').scrollIntoView({ behavior: 'instant' })`;

/** Adds an inline script, as markup that got through would. */
export const ADD_SCRIPT = `{
  const script = document.createElement('script');
  script.textContent = "document.title = 'owned'";
  document.body.append(script);
}`;

export const DANGLING_LINKS = `[...document.querySelectorAll('a[href^="#"]')].map((a) => a.hash.slice(1)).filter((id) => !document.getElementById(id))`;

/** Texts whose contrast with what they stand on is below WCAG AA's 4.5. */
export const LOW_CONTRAST = `(() => {
  const rgb = (css) => (css.match(/[\\d.]+/g) ?? []).map(Number);
  const luminance = (css) => {
    const [r, g, b] = rgb(css).map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const backgroundOf = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (rgb(colour)[3] !== 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const hasText = (e) => [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim() !== '');
  return [...document.querySelectorAll('body *')].filter(hasText).flatMap((e) => {
    if (e.closest('script, option, .skip')) return [];
    const style = getComputedStyle(e);
    const [a, b] = [luminance(e instanceof SVGElement ? style.fill : style.color), luminance(backgroundOf(e))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    return contrast < 4.5 ? [contrast.toFixed(2) + ' ' + e.tagName + ' ' + e.textContent.slice(0, 40)] : [];
  });
})()`;

/** What axe (WCAG 2.2 A and AA, best practices) finds wrong, as "impact rule: where". Its source has to be in the page. */
export const AXE_FINDINGS = `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
  violations.map(({ id, impact, nodes }) => impact + ' ' + id + ': ' + nodes.slice(0, 3).map((n) => n.target.join(' ')).join(', ')))`;

/** Label of the picture that is seen on each side of the open comparison. */
export const COMPARED = `[...document.querySelectorAll('#pair figure:not([hidden]) strong')].map((e) => e.textContent)`;
