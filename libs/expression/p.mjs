import { RE2JS } from 're2js';
for (const [p,t] of [['^(a+)+$','a!'],['^(a+)+$','aaaaaaaaaaaa!'],['^(a+)+$','a'.repeat(50)+'!'],['^(?:a+)+$','aaa!'],['^a+$','aaa!'],['(a+)+$','aaa!'],['^(ab?)+$','aabc'],['^(a+)+$','aaa']]) { const c=RE2JS.compile(p); console.log(p,t.length,c.matcher(t).find(), c.test?.(t), new RegExp(p).test(t)); }
