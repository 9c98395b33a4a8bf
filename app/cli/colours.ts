import pc from 'picocolors';

const { env, stdout } = process;

/** Colours on a terminal or where they are asked for; never in a pipe, also not in CI, which the library would colour. */
export default pc.createColors(!env['NO_COLOR'] && Boolean(env['FORCE_COLOR'] || (stdout.isTTY && env['TERM'] !== 'dumb')));
