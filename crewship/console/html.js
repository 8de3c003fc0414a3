// Preact, its hooks and htm under one name: every part of the console takes them from here.
import { h, render, Fragment } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export { useState, useEffect, useLayoutEffect, useMemo, useRef, useCallback } from "./vendor/hooks.js";
export { h, render, Fragment };
export const html = htm.bind(h);
