// Loaded with `--import` in the threads of workflows, before the SDK: a hook that it sets on promises there is not called.
import v8 from 'node:v8';

v8.promiseHooks.createHook = () => () => undefined;
