/**
 * What calling the UNet does. `nan`: answers nothing but NaN. `hang`: does not come back. `crash`: ends the process by SIGFPE, on x86. `allocate`: fills so many bytes of memory first.
 * `cost`: takes the same time whatever the batch, in rounds of one small matrix product (5 µs or so), and predicts a tenth of the sample as noise.
 */
export type UnetFault =
  { kind: 'nan' } | { kind: 'hang' } | { kind: 'crash' } | { kind: 'allocate'; bytes: number } | { kind: 'cost'; rounds: number };

/** Copies the bundled generator into an empty folder, with a UNet that does only this. Returns the model's folder. */
export function faultyModel(folder: string, fault: UnetFault): Promise<string>;
export function emptyGraph(inputs: string[], outputs: string[]): Uint8Array;
export function graphWithExternalData(place: { location: string; offset: number; dim: number }): Uint8Array;
