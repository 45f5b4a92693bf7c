// How this command line is called, in texts that tell people what to type: from a checkout through npm, else by its name.
export const COMMAND = import.meta.url.endsWith('.ts') ? 'npm run -s throughway --' : 'throughway';
